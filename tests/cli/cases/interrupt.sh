# Ctrl-C ends a script with 130, quietly; so does a reader that goes away. In the foreground timeout sends one signal, not
# a second one to its group.
timeout --foreground --preserve-status -s INT 2 stlua -e 'while true do end'; echo "exit $?"
timeout --foreground --preserve-status -s INT 2 stlua -e 'pcall(function() while true do end end) print "not reached"'; echo "exit $?"
stlua -e 'for i = 1, 1e6 do print(i) end' | head -n 1
