# Wrong command lines: one line that says what is meant, exit 2.
status() { "$@"; echo "exit $?" >&2; }
status stlua mrge a b
status stlua mrge.lua a b
status stlua --trce
status stlua -j 0 -e 'print(1)'
status stlua -e
status stlua merge
status stlua merge a
status stlua merge a b --alhpa 0.5
status stlua merge a b --dtype BF15
status stlua merge a b --dtype I32
status stlua merge a b --missing all
status stlua merge a b --alpha x
status stlua merge a b --weights 1
status stlua merge a b --weights 1,nan
status stlua merge a b --weights 1,-1
status stlua merge a:1 b
status stlua merge a:1 b:2 --weights 1,2
status stlua merge a b --max-shard-size 5XB
status stlua cast a
status stlua info
status stlua cat a b --npy --text
status stlua completion tcsh
status stlua help mrge
status stlua help lora resiz
status stlua help cast all
status stlua lora resize a --rnk 3
status stlua lora aply a b
status stlua merge a b --seed 3
status stlua cast a --dequantize --saturate
