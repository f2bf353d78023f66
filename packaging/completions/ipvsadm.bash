# SPDX-License-Identifier: Apache-2.0
# Completion of ipvsadm for bash: /usr/share/bash-completion/completions/ipvsadm
_ipvsadm() {
    local line=${COMP_LINE:0:COMP_POINT} words cur
    read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=("")
    cur=${words[-1]}
    mapfile -t COMPREPLY < <("${words[0]}" --complete "${words[@]:1}" 2>/dev/null)
    # Addresses have colons, after which bash begins another word: it wants only what follows the last.
    if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
    fi
}
complete -F _ipvsadm ipvsadm
