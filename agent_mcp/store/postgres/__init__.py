"""The log in PostgreSQL, shared by the processes of many machines. Start at `store`.

The only room that imports psycopg, and itself imported only where the store's address names PostgreSQL.
"""
