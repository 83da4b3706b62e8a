#!/usr/bin/env bash
# Runs rustc as cargo asks, but leaves out features of two crates that other crates ask for and nothing uses. Cargo has no means for it:
# `tokenizers` depends on all of regex-syntax, and `fancy-regex` on all automata.
#
# regex-syntax: tables of ages, binary properties and segments. A tokenizer with \p{Emoji} is refused; categories, scripts, \w, \s,
# \d and (?i) stay. regex-automata: automata that are built as a whole, since those that are built state by state do the same, and the search
# for several literals at once, which expressions of tokenizers do not begin with.
case " $* " in
  *' --crate-name regex_syntax '*) unused='unicode-(age|bool|segment)' ;;
  *' --crate-name regex_automata '*) unused='(dfa-build|perf-literal-multisubstring)' ;;
  *) exec "$@" ;;
esac
arguments=()
while (($#)); do
  if [[ $1 == --cfg && $2 =~ ^feature=\"$unused\"$ ]]; then
    shift 2
  else
    arguments+=("$1")
    shift
  fi
done
exec "${arguments[@]}"
