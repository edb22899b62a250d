#!/usr/bin/env perl
# program.t - the program itself: where it finds Lua files, how it ends, what signals do.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(sleep time);

$SIG{INT} = 'DEFAULT';      # a shell that starts tests in the background has it ignored

my $tree = $ENV{STLUA_TREE} || abs_path(dirname($0) . '/../..');
my $stlua = "$tree/stlua";
my $dir = tempdir('stlua-program-XXXXXX', TMPDIR => 1, CLEANUP => 1);
delete @ENV{grep { /^LUA/ } keys %ENV};
chdir $dir or die "$dir: $!\n";

sub spew {
   my ($name, $text) = @_;
   open my $f, '>:raw', $name or die "$name: $!\n";
   print $f $text;
   close $f or die "$name: $!\n";
}

sub slurp {
   my ($name) = @_;
   open my $f, '<:raw', $name or return '';
   local $/;
   return <$f> // '';
}

# Starts a command with its output in the files out and err; gives its process.
sub start {
   my @command = @_;
   my $pid = fork() // die "fork: $!\n";
   return $pid if $pid;
   open STDOUT, '>', 'out' or die;
   open STDERR, '>', 'err' or die;
   exec { $command[0] } @command or die "$command[0]: $!\n";
}

# Waits at most thirty seconds; 128 + signal for what a signal killed, as in a shell.
sub finish {
   my ($pid) = @_;
   local $SIG{ALRM} = sub { kill 'KILL', $pid };
   alarm 30;
   waitpid $pid, 0;
   alarm 0;
   return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

sub run { return finish(start(@_)) }

# Waits until the script has said that it is ready.
sub wait_ready { for (1 .. 1000) { return if -e 'ready'; sleep 0.01 } }

# Runs a script, sends the signals when it is ready, gives status and seconds until the end.
sub signalled {
   my ($script, @signals) = @_;
   unlink 'ready';
   spew('signalled.lua', $script);
   my $pid = start($stlua, 'signalled.lua');
   wait_ready();
   sleep 0.1;
   my $begin = time;
   for my $i (0 .. $#signals) {
      sleep 0.1 if $i;
      kill $signals[$i], $pid;
   }
   my $status = finish($pid);
   return ($status, time - $begin);
}

# ---------------------------------------------------------------- endings

is run($stlua, '-e', 'return'), 0, 'code that returns ends with 0';
is run($stlua, '-e', 'error "no luck"'), 1, 'an error ends with 1';
like slurp('err'), qr/\Astlua: [^\n]*no luck\n\z/, 'and prints one line';
is run($stlua, '-e', 'error(setmetatable({}, { __tostring = function() error "twice" end }))'), 1,
   'an error that cannot be printed ends with 1';
isnt slurp('err'), '', 'and says something';
is run($stlua, '-e', 'os.exit(7, true)'), 7, 'os.exit gives the status';

# ---------------------------------------------------------------- where files are found

spew('argparse.lua', 'error "loaded from the current folder"');
spew('sample.lua', 'print(require "argparse" ~= nil, ...)');
is run($stlua, 'sample.lua', 'a b', ''), 0, 'a script runs';
is slurp('out'), "true\ta b\t\n", 'nothing is loaded from the current folder; arguments arrive';
is run($stlua, '-e',
   'for p in (package.path .. ";" .. package.cpath):gmatch "[^;]+" do assert(p:sub(1, 1) == "/", p) end'), 0,
   'no relative entry is in the paths';
{
   local $ENV{LUA_PATH} = "./?.lua;$dir/own/?.lua;;";
   mkdir 'own';
   spew('own/mine.lua', 'return "mine"');
   is run($stlua, '-e', 'print(require "mine", pcall(require, "sample"))'), 0, 'LUA_PATH is followed';
   like slurp('out'), qr/\Amine\tfalse\t/, 'where it is absolute';
   spew('dump.lua', 'io.open("own/binary.lua", "wb"):write(string.dump(function() return 1 end))');
   is run($stlua, 'dump.lua'), 0, 'string.dump works';
   is run($stlua, '-e', 'require "binary"'), 1, 'require refuses bytecode';
   like slurp('err'), qr/attempt to load a binary chunk/, 'and says so';
   is run($stlua, 'own/binary.lua'), 1, 'so does running a script';
   is run($stlua, '-e', 'print(pcall(require, "no.such.module"))'), 0, 'a missing module is an error of Lua';
   like slurp('out'), qr{no file '\Q$dir\E/own/no/such/module.lua'}, 'that lists where it was looked for';
}
symlink $stlua, 'link';
is run('./link', '-e', 'print(st.version)'), 0, 'the program runs through a symbolic link';
for my $place ('bin', 'share/lua/5.4', 'lib/lua/5.4/stlua', 'share/stlua') { system 'mkdir', '-p', "prefix/$place" }
system "cp '$stlua' prefix/bin && cp -R '$tree/lua/stlua' prefix/share/lua/5.4"
   . " && mv prefix/share/lua/5.4/stlua/*.so prefix/lib/lua/5.4/stlua && cp -R '$tree/scripts' prefix/share/stlua";
is run('prefix/bin/stlua', '-e', 'require "stlua.terminal"; print(package.searchpath("stlua.core", package.cpath))'), 0,
   'it runs when installed';
like slurp('out'), qr{prefix/lib/lua/5\.4/stlua/core\.so}, 'with the files of its prefix';

SKIP: {
   skip 'no /proc/self/maps', 2 if !-r '/proc/self/maps';
   my $maps = 'for line in io.lines "/proc/self/maps" do if line:find "libedit" then print(line) end end';
   run($stlua, '-e', $maps);
   is slurp('out'), '', 'the library of the prompt is not loaded for code';
   run($stlua, '-e', qq{require "stlua.terminal"; $maps});
   like slurp('out'), qr/libedit/, 'but by its module';
}

# Compiled modules: the code of mine.lua tells that it is not its source.
spew('prefix/share/lua/5.4/mine.lua', 'return "source"');
spew('compile.lua', <<'LUA');
local release, length = ...
local name, source, code = "@" .. package.searchpath("mine", package.path), 'return "source"', 'return "code"'
code = string.dump(load(code, name))
local directory = string.pack("=s4s4", name, string.pack("=I4I4", #source, #code))
if not release or release == "" then release = require "stlua.compiled".made_by end
local all = string.pack("=s4s4s4", release, directory, source .. code)
io.open(package.searchpath("stlua.core", package.cpath):gsub("core.so$", "compiled"), "wb"):write(
   all:sub(1, length and math.tointeger(length)))
LUA
my @mine = ('prefix/bin/stlua', '-e', 'print((require "mine"))');
for my $case (['', 'code', 'compiled code is taken for its source'], ['"Lua 5.4.99"', 'source', 'of this Lua alone'],
   ['"" -5', 'source', 'not from a file that was cut'], ['', 'code', 'which harms nothing']) {
   my ($args, $expected, $title) = @$case;
   system "prefix/bin/stlua compile.lua $args";
   run(@mine);
   is slurp('out'), "$expected\n", $title;
}
spew('prefix/share/lua/5.4/mine.lua', 'return "sourcE"');
run(@mine);
is slurp('out'), "sourcE\n", 'a file that was edited is compiled';

# ---------------------------------------------------------------- signals

my $ready = 'local function ready() io.open("ready", "w"):close() end ';
my ($status, $seconds) = signalled("$ready ready() while true do end", 'INT');
is $status, 130, 'Ctrl-C stops a loop with 130';
cmp_ok $seconds, '<', 2, 'at once';
is slurp('out'), '', 'without output';
is((signalled("$ready ready() while true do end", 'TERM'))[0], 143, 'SIGTERM with 143');
{
   local $SIG{HUP} = 'DEFAULT';      # nohup would have it ignored
   is((signalled("$ready ready() while true do end", 'HUP'))[0], 129, 'SIGHUP with 129');
}
($status) = signalled("$ready ready() while true do pcall(function() while true do end end) end", 'INT', 'INT');
is $status, 130, 'a second Ctrl-C kills what catches the first';
($status) = signalled("$ready coroutine.wrap(function() ready() while true do end end)()", 'INT', 'INT');
is $status, 130, 'and a loop in a coroutine';

# A save that takes long: 2 GiB of slow arithmetic from a few kilobytes.
my $save = <<'LUA';
local core = require "stlua.core"
local function zeros(shape, n) return core.tensor("F32", shape, ("\0"):rep(4 * n)) end
local t = zeros({ 16384, 1 }, 16384) + zeros({ 1, 32768 }, 32768)
for _ = 1, 40 do t = (t:exp() + 1):log() end
local m = core.model():add("x", t)
local function save() core.save { { model = m, path = "target", sync = false } } end
LUA
spew('target', 'old');
($status, $seconds) = signalled("$ready $save ready() save()", 'INT');
is $status, 130, 'Ctrl-C stops a save with 130';
cmp_ok $seconds, '<', 3, 'soon';
is slurp('target'), 'old', 'the target is as it was';
is_deeply [grep { /target/ } glob('* .*')], ['target'], 'and no temporary file stays';
($status) = signalled("$ready $save ready() print(pcall(save)) print(pcall(save))"
   . " core.resume() print(core.cancelled())",
   'INT');
like slurp('out'), qr/\Afalse\t[^\n]*\nfalse\t[^\n]*\nfalse\n\z/,
   'a script that catches the interrupt finds later work refused until it resumes';
($status) = signalled("$ready $save core.progress(function() end) ready() save()", 'TERM');
is $status, 143, 'SIGTERM stops a save that reports progress';
is slurp('target'), 'old', 'the target is as it was';

{
   local $SIG{HUP} = 'IGNORE';
   is((signalled("$ready ready() for _ = 1, 3e7 do end", 'HUP'))[0], 0, 'an ignored SIGHUP stays ignored');
}
my $pipe = `'$stlua' -e 'while true do print("y") end' 2>err | head -n 1; echo`;
is $pipe, "y\n\n", 'output to a pipe';
is slurp('err'), '', 'that closes is no error worth a word';
is system('sh', '-c', qq{("$stlua" -e 'while true do print("y") end'; echo \$? >status) | head -n 1 >out}),
   0, 'a broken pipe';
is slurp('status'), "141\n", 'ends with 141';

done_testing;
