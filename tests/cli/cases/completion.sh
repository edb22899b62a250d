# Completion files that the shells accept and that know every command.
for shell in bash zsh fish; do stlua completion $shell >$shell; done
bash -n bash && echo "bash: accepted"
for word in merge cast info cat completion help --alpha --only --npy --max-shard-size; do
   grep -q -e "$word" bash && grep -q -e "${word#--}" zsh && grep -q -e "${word#--}" fish || echo "no $word"
done
bash -c '. ./bash
   COMP_WORDS=(stlua merge --al) COMP_CWORD=2; _stlua; echo "${COMPREPLY[@]}"
   COMP_WORDS=(stlua in) COMP_CWORD=1; _stlua; echo "${COMPREPLY[@]}"'
