# The shell's own work, without other programs: variables, arrays, substitutions, functions.
declare -A seen
rows=()
add() { local key=$1 value=$2; seen[$key]=$value; rows+=("$key=$value"); }
for ((i = 0; i < 25000; i++)); do
  word="row-$i-$((i * 7919 % 10007))"
  add "${word##*-}" "${word/row/line}"
done
text="${rows[*]}"
count=0
for word in $text; do [[ $word == *99* ]] && ((count++)); done
echo "${#seen[@]} ${#text} $count"
