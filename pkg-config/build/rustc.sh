#!/usr/bin/env bash
# Runs rustc as cargo asks, except for a few crates. Cargo has no means for either.
#
# Two crates lose features that other crates ask for and nothing uses: `tokenizers` depends on all of regex-syntax, and `fancy-regex` on all
# automata. regex-syntax: tables of ages, binary properties and segments. A tokenizer with \p{Emoji} is refused; categories, scripts, \w, \s,
# \d and (?i) stay. regex-automata: automata that are built as a whole, since those that are built state by state do the same, and the search
# for several literals at once, which expressions of tokenizers do not begin with.
#
# Our own crates have atomics in the core with threads, an unstable feature of this target, so that RUSTC_BOOTSTRAP has the stable compiler take
# it. All other crates are those of the cores without threads.
case " $* " in
  *' --crate-name regex_syntax '*) unused='unicode-(age|bool|segment)' ;;
  *' --crate-name regex_automata '*) unused='(dfa-build|perf-literal-multisubstring)' ;;
  *' --crate-name pilotlight'*' feature="threads" '*) RUSTC_BOOTSTRAP=1 exec "$@" -C target-feature=+atomics ;;
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
