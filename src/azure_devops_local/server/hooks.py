"""The Git hooks of the team's repository: what a push is refused for, and what runs after one."""

import os
import shlex
import sys
from pathlib import Path

from azure_devops_local import host

_RECEIVE = """#!/bin/sh
# The variables of `git push` are only for this repository, not for the commands that follow.
unset $(git rev-parse --local-env-vars)
{exports}
exec {python} -m {command} received
"""
_REFUSE = """#!/bin/sh
while read -r old new ref; do
  case "$ref" in
  {branches})
    branch="${{ref#refs/heads/}}"
    case "$new" in
    *[!0]*) [ "$(git config --local --type=bool --get {name}.directPush)" = true ] && continue ;;
    *) echo "$branch can't be deleted: every pull request ends in it." >&2; exit 1 ;;
    esac
    echo "$branch takes pull requests only: \\`{advice} pr create --source YOUR_BRANCH --target $branch\\`." >&2
    exit 1 ;;
  refs/pull/*)
    echo "refs/pull/ belongs to the pull requests: push a branch." >&2
    exit 1 ;;
  esac
done
"""


def install(repository: Path) -> None:
    """Write the hooks: `post-receive` starts pipelines; `pre-receive` keeps pushes off branches with a policy."""
    program = host.current()
    variables = {**program.environment, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items() if value)
    command = shlex.join(program.command)
    hooks = {"post-receive": _RECEIVE.format(exports=exports, python=shlex.quote(sys.executable), command=command)}
    if program.policies:
        branches = " | ".join(f"refs/heads/{branch}" for branch in program.policies)
        hooks["pre-receive"] = _REFUSE.format(branches=branches, name=program.name, advice=program.advice)
    for name, text in hooks.items():
        hook = repository / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(text, encoding="utf-8", newline="\n")
        hook.chmod(0o755)
