"""Which server entries start agent-mcp itself, directly or through a launcher, and with which arguments.

Only by their command lines: nothing is run or looked up.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from itertools import dropwhile
from pathlib import Path, PurePosixPath, PureWindowsPath

from agent_mcp.config.paths import CONFIG_VARIABLE, expand_home, user_config_file
from agent_mcp.config.schema import ServerEntry

_INHERITED = ("HOME", "USERPROFILE")
"""What a child always gets of our environment and where its config is looked for depends on."""

_OPTIONS_WITH_VALUE = {
    "uvx": {
        *("--from", "--with", "--with-editable", "--with-requirements", "-p", "--python", "--index", "-c"),
        *("--default-index", "-i", "--index-url", "--extra-index-url", "--env-file", "--directory"),
        *("--project", "--cache-dir", "--config-file", "--constraints", "--group", "--extra", "--package"),
    },
    "pipx": {"--spec", "--python", "--index-url", "-i", "--pip-args"},
    "python": {"-W", "-X"},
    "env": {"-u", "--unset", "-C", "--chdir"},
    "wrapper": {
        *("-n", "--name", "-p", "--prefix", "-u", "-d", "--distribution", "--environment", "--manifest-path"),
        *("-ExecutionPolicy", "--config", "--project"),
    },
}

_RUNNERS = {
    *("poetry", "pdm", "hatch", "rye", "pixi", "conda", "mamba", "micromamba", "mise"),
    *("doppler", "op", "dotenvx"),
}
"""Programs that run another one after a word like `run`."""
_PREFIXES = {"nice", "nohup", "sudo", "wsl", "powershell", "pwsh"}
"""Programs that run what stands behind their options."""
_VERBS = {"run", "exec", "x"}
_BETWEEN_COMMANDS = {"&&", "||", ";", "&", "|"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)


def own_arguments(command: Sequence[str]) -> Sequence[str] | None:
    """The arguments that agent-mcp is started with by a command line, or None if it starts something else."""
    if not command:
        return None
    program, arguments = _program(command[0]), command[1:]
    match program:
        case "agent-mcp":
            return arguments
        case "uvx" | "pipx" | "uv":
            return own_arguments(_after_launcher(program, arguments))
        case "env":
            rest = _positional(arguments, "env")
            return own_arguments(_after_assignments(rest))
        case "cmd":
            rest = list(dropwhile(lambda part: part.startswith("/"), arguments))
            return own_arguments(rest if len(rest) > 1 else " ".join(rest).split())
        case "sh" | "bash" | "zsh" | "dash":
            return _own_arguments_of_script(arguments)
        case _ if re.fullmatch(r"python[\d.]*w?|py", program):
            return _own_arguments_of_python(arguments)
        case _ if program in _RUNNERS or program in _PREFIXES:
            return own_arguments(_after_wrapper(program, arguments))
        case _:
            return None


def config_of_child(entry: ServerEntry, environ: Mapping[str, str]) -> Path | None:
    """The config file that an agent-mcp started by this entry will read; None if the entry starts something else."""
    arguments = own_arguments([entry.command or "", *entry.args])
    if arguments is None:
        return None
    inherited = {name: environ[name] for name in (*_INHERITED, *entry.inherit_env) if name in environ}
    child_environ = {**inherited, **entry.env}
    named = _option(arguments, "--config") or child_environ.get(CONFIG_VARIABLE)
    path = expand_home(named, child_environ) if named else user_config_file(child_environ)
    return Path(entry.cwd or ".") / path


def _program(command: str) -> str:
    """The name of a program: no directory, no Windows ending, no version or extras as in `agent-mcp[x]==1.0`."""
    name = PureWindowsPath(PurePosixPath(command).name).name
    name = re.sub(r"\.(exe|cmd|bat|ps1)$", "", name, flags=re.IGNORECASE)
    name = re.split(r"[\[@=<>!~]", name)[0].lower()
    return "agent-mcp" if name == "agent_mcp" else name


def _positional(arguments: Sequence[str], launcher: str, *, until: str | None = None) -> Sequence[str]:
    """The arguments from the first on that is neither an option of the launcher nor an option's value.

    An option that begins with `until` ends the search too.
    """
    rest = list(arguments)
    while rest and rest[0].startswith("-") and not (until and rest[0].startswith(until)):
        option = rest.pop(0)
        if option == "--":
            break
        if option in _OPTIONS_WITH_VALUE[launcher] and rest:
            rest.pop(0)
    return rest


def _after_launcher(program: str, arguments: Sequence[str]) -> Sequence[str]:
    if program == "uvx":
        return _positional(arguments, "uvx")
    rest = _positional(arguments, "uvx" if program == "uv" else "pipx")
    if rest[:2] == ["tool", "run"]:
        return _positional(rest[2:], "uvx")
    if rest[:1] == ["run"]:
        return _positional(rest[1:], "uvx" if program == "uv" else "pipx")
    return ()


def _after_wrapper(program: str, arguments: Sequence[str]) -> Sequence[str]:
    if "--" in arguments:
        return arguments[arguments.index("--") + 1 :]
    if program in _PREFIXES:
        return _positional(arguments, "wrapper")
    rest = list(dropwhile(lambda word: word not in _VERBS, arguments))
    return _positional(rest[1:], "wrapper")


def _own_arguments_of_python(arguments: Sequence[str]) -> Sequence[str] | None:
    rest = _positional(arguments, "python", until="-m")
    if rest and rest[0].startswith("-m"):
        words = [word for word in (rest[0][2:], *rest[1:]) if word]
        return words[1:] if words[:1] in (["agent_mcp"], ["agent_mcp.__main__"]) else None
    if not rest:
        return None
    script = PurePosixPath(rest[0].replace("\\", "/"))
    if script.name == "__main__.py":
        script = script.parent
    return rest[1:] if _program(script.name) == "agent-mcp" else None


def _own_arguments_of_script(arguments: Sequence[str]) -> Sequence[str] | None:
    """Of a shell only `-c 'agent-mcp …'` is understood, also after `exec`, assignments and other commands."""
    lexer = shlex.shlex(_option_value_after(arguments), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return None
    found = (own_arguments(command) for command in _commands(words))
    return next((own for own in found if own is not None), None)


def _commands(words: Sequence[str]) -> Iterable[Sequence[str]]:
    """The commands of a shell's line, each from its program on."""
    command: list[str] = []
    for word in (*words, ";"):
        if word not in _BETWEEN_COMMANDS:
            command.append(word)
            continue
        plain = _after_assignments(command)
        yield plain[1:] if plain[:1] == ["exec"] else plain
        command = []


def _after_assignments(words: Sequence[str]) -> list[str]:
    return list(dropwhile(_ASSIGNMENT.fullmatch, words))


def _option_value_after(arguments: Sequence[str]) -> str:
    for index, argument in enumerate(arguments[:-1]):
        if re.fullmatch(r"-[a-z]*c", argument):
            return arguments[index + 1]
    return ""


def _option(arguments: Sequence[str], name: str) -> str | None:
    """The value of `--name value` or `--name=value`."""
    for index, argument in enumerate(arguments):
        if argument == name and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return None
