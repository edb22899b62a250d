# The program's own help, and that of every command.
stlua --version
stlua --help
for command in cast cat completion info merge; do
   echo "--- $command"
   stlua help $command
done
echo "--- lora resize"
stlua lora resize --help >resize.txt
stlua help lora resize | cmp - resize.txt && sed -n '1p;/^Make/p;/--energy <share>  /p' resize.txt
