#!/bin/sh
# Prints the package sources of this machine's own distribution, as deb822 stanzas.
#
#   distribution_sources.sh [COMPONENT...]      (default: main)
#
# Every mirror, key and architecture comes from the machine's own apt configuration, so that a private mirror or a
# proxy keeps working and no host name is written down here. Only the component list is ours: that is how the
# non-free component is reached without changing anybody's package sources.
#
# An entry belongs to the distribution when its suite is the running release (or its updates or security suite),
# it carries the component `main`, and its key, where one is named, is the distribution's. Third-party lists fail
# at least one of the three. LANSPREAD_APT_SOURCES=FILE (deb822) replaces all this for machines where it is wrong.
set -eu

components=${*:-main}

if [ -n "${LANSPREAD_APT_SOURCES:-}" ]; then
    cat -- "$LANSPREAD_APT_SOURCES"
    exit 0
fi

os_release=/etc/os-release
if ! command -v apt-config >/dev/null 2>&1 || ! [ -r "$os_release" ]; then
    echo "distribution_sources.sh: this machine has no apt; Debian or Ubuntu is needed" >&2
    exit 1
fi
# shellcheck disable=SC1090  # a standard file of variable assignments
distribution=$(. "$os_release" && echo "${ID:-}")
# shellcheck disable=SC1090
codename=$(. "$os_release" && echo "${VERSION_CODENAME:-}")
case $distribution in
debian | ubuntu) ;;
*)
    echo "distribution_sources.sh: distribution '$distribution' is not known here (only debian and ubuntu);" \
        "set LANSPREAD_APT_SOURCES to a deb822 sources file" >&2
    exit 1
    ;;
esac

source_list=
source_parts=
eval "$(apt-config shell source_list Dir::Etc::sourcelist/f source_parts Dir::Etc::sourceparts/d)"

# One awk program for both formats: it gathers a stanza (or splits a line) into the same fields, then decides.
stanzas=$(
    for file in "$source_list" "${source_parts%/}"/*.list "${source_parts%/}"/*.sources; do
        [ -r "$file" ] || continue
        awk -v file="$file" -v distribution="$distribution" -v codename="$codename" -v components="$components" '
            function has_word(text, word,    words, count, i) {
                count = split(text, words, /[ \t\n]+/)
                for (i = 1; i <= count; i++) if (words[i] == word) return 1
                return 0
            }
            function own_suite(suite,    base) {
                base = suite
                sub(/(-updates|-security|\/updates)$/, "", base)
                if (base == codename && codename != "") return 1
                # Debian machines may follow a moving name instead of the release.
                return distribution == "debian" && base ~ /^(stable|testing|unstable|sid)$/
            }
            function own_key(key) {
                # An embedded key block or none at all says nothing; a key file says whose it is.
                if (key !~ /^[ \t]*\//) return 1
                return index(key, distribution) > 0
            }
            function reset(    name) { for (name in field) delete field[name]; current = "" }
            function emit(    suites, count, i, kept, uris) {
                if (!has_word(field["types"], "deb") || !has_word(field["components"], "main")) return
                if (tolower(field["enabled"]) ~ /^(no|false|off|0)$/ || !own_key(field["signed-by"])) return
                uris = field["uris"]
                if (uris ~ /^(cdrom|file|copy):/) return
                kept = ""
                count = split(field["suites"], suites, /[ \t\n]+/)
                for (i = 1; i <= count; i++) if (own_suite(suites[i])) kept = kept " " suites[i]
                if (kept == "" || uris == "") return
                print "Types: deb"
                print "URIs: " uris
                print "Suites:" kept
                print "Components: " components
                count = split("architectures signed-by trusted check-valid-until by-hash", passed, " ")
                for (i = 1; i <= count; i++)
                    if (field[passed[i]] != "") print passed[i] ": " field[passed[i]]
                print ""
            }
            file ~ /\.sources$/ {
                if ($0 ~ /^#/) next
                if ($0 ~ /^[ \t]*$/) { emit(); reset(); next }
                if ($0 ~ /^[ \t]/) { if (current != "") field[current] = field[current] "\n" $0; next }
                current = tolower(substr($0, 1, index($0, ":") - 1))
                value = substr($0, index($0, ":") + 1)
                gsub(/^[ \t]+|[ \t]+$/, "", value)
                field[current] = value
                next
            }
            {
                sub(/#.*/, "")
                if ($1 != "deb") next
                reset()
                line = $0
                sub(/^[ \t]*deb[ \t]+/, "", line)
                if (line ~ /^\[/) {
                    options = substr(line, 2, index(line, "]") - 2)
                    line = substr(line, index(line, "]") + 1)
                    count = split(options, option, /[ \t]+/)
                    for (i = 1; i <= count; i++) {
                        split(option[i], pair, "=")
                        key = tolower(pair[1])
                        if (key == "arch") key = "architectures"
                        gsub(/,/, " ", pair[2])
                        if (key != "") field[key] = pair[2]
                    }
                }
                count = split(line, word, /[ \t]+/)
                first = (word[1] == "") ? 2 : 1
                field["types"] = "deb"
                field["uris"] = word[first]
                field["suites"] = word[first + 1]
                for (i = first + 2; i <= count; i++) field["components"] = field["components"] " " word[i]
                emit()
                reset()
            }
            END { if (file ~ /\.sources$/) emit() }
        ' "$file"
    done
)
if [ -z "$stanzas" ]; then
    echo "distribution_sources.sh: no entry of $distribution $codename with component main in $source_list" \
        "or $source_parts; set LANSPREAD_APT_SOURCES to a deb822 sources file" >&2
    exit 1
fi
printf '%s\n' "$stanzas"
