# SPDX-License-Identifier: Apache-2.0
# Completion of ipvsadm for fish: the tool itself knows its options, and the services, servers and links of the moment.
function __ipvsadm_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] --complete $words[2..-1] 2>/dev/null
end
complete -c ipvsadm -f -a '(__ipvsadm_complete)'
