# SPDX-License-Identifier: Apache-2.0
# Completion of dpip for bash: /usr/share/bash-completion/completions/dpip
_dpip() {
    local line=${COMP_LINE:0:COMP_POINT} words
    read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=("")
    mapfile -t COMPREPLY < <("${words[0]}" --complete "${words[@]:1}" 2>/dev/null)
}
complete -F _dpip dpip
