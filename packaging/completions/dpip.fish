# SPDX-License-Identifier: Apache-2.0
# Completion of dpip for fish: /usr/share/fish/vendor_completions.d/dpip.fish
function __dpip_words
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    $words[1] --complete $words[2..] "$word" 2>/dev/null
end
complete -c dpip -f -a '(__dpip_words)'
