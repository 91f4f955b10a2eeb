"""What a host sees: eight tools, their arguments, results and progress, over every transport."""
