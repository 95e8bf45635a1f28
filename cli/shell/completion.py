"""``./lab completion``: what makes a shell complete the words of ``./lab``."""

from __future__ import annotations

from .. import arguments
from ..errors import CommandError
from ..output import print_text
from . import candidates

# A shell completes ./lab as it does lab: by what follows the last slash. Without candidates both take files.
BASH = """_podlab() {
    local IFS=$'\\n' word=${COMP_WORDS[COMP_CWORD]}
    # Of a word with a colon or an equals sign, which are words of their own to bash, it is the end that is completed.
    [[ $word == [:=] ]] && word=
    COMPREPLY=($("${COMP_WORDS[0]}" completion words -- "${COMP_WORDS[@]:1:COMP_CWORD-1}" "$word" 2>/dev/null))
    [[ ${COMPREPLY[0]} != *[/:=] ]] || compopt -o nospace
}
complete -o default -F _podlab lab
"""
ZSH = """#compdef lab
_podlab() {
    local -a found open
    found=("${(@f)$("${words[1]}" completion words -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    found=(${found:#})
    (( $#found )) || { _files; return }
    open=(${(M)found:#*[/:=]})
    compadd -S '' -a open
    found=(${found:#*[/:=]})
    compadd -a found
}
compdef _podlab lab
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH}


def main(words: list[str], command: list[str]) -> None:
    parser = arguments.parser(
        "completion",
        "bash|zsh",
        "Print what makes a shell complete verbs, options, kinds and the names in the lab.\n\n"
        "  source <(./lab completion bash)     in ~/.bashrc with the path of ./lab\n"
        "  source <(./lab completion zsh)      the same in ~/.zshrc, after compinit",
    )
    # The third is what these two call: the words that may stand for the last of those after --.
    parser.add_argument("shell", choices=(*SCRIPTS, "words"), metavar="bash|zsh")
    shell = parser.parse_args(words).shell
    if shell in SCRIPTS:
        print_text(SCRIPTS[shell], end="")
        return
    try:
        found = candidates.complete(command)
    except CommandError:  # there is none where the lab is off; what is wrong says the verb itself
        found = []
    print_text("".join(f"{word}\n" for word in found), end="")
