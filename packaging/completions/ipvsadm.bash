# SPDX-License-Identifier: Apache-2.0
# Completion of ipvsadm for bash: the tool itself knows its options, and the services, servers and links of the moment.
_ipvsadm() {
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}") cur=${COMP_WORDS[COMP_CWORD]}
    if declare -F _get_comp_words_by_ref >/dev/null; then
        # Addresses have colons, at which bash would split words.
        local cword
        _get_comp_words_by_ref -n : cur words cword
        words=("${words[@]:1:cword}")
    fi
    mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" --complete "${words[@]}" 2>/dev/null)
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "$cur"
    fi
}
complete -F _ipvsadm ipvsadm
