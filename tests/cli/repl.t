#!/usr/bin/env perl
# repl.t - the prompt on a real terminal (a pseudo terminal held by the helper program pty): prompt, Tab, history,
# Ctrl-R, Ctrl-C in Lua and in C, Ctrl-D.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IPC::Open2;
use Test::More;
use Time::HiRes qw(sleep time);

my $tree = $ENV{STLUA_TREE} || abs_path(dirname($0) . '/../..');
my $pty = $ENV{STLUA_PTY} || "$tree/.build/cc-faults/tests/pty";
plan skip_all => 'no terminal helper (run by make test)' unless -x $pty;
my $examples = abs_path(dirname($0) . '/../../examples');
my $slow = $ENV{SAN} ? 20 : 1;
my $dir = tempdir('stlua-repl-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chdir $dir or die "$dir: $!\n";
delete @ENV{qw(LUA_INIT LUA_INIT_5_4 NO_COLOR EDITRC INPUTRC)};
@ENV{qw(TERM HOME XDG_STATE_HOME)} = ('xterm', $dir, "$dir/state");

my ($from, $to, $pid, $screen);
my $UP = "\e[A";

sub slurp {
   my ($name) = @_;
   open my $f, '<:raw', $name or return '';
   local $/;
   return <$f> // '';
}

sub session {
   $screen = '';
   $pid = open2($from, $to, $pty, "$tree/stlua", @_);
   binmode $_ for $from, $to;
   return expect(qr/> $/);
}

# A person needs a moment to see the prompt, too: keys typed before it takes them go through the plain terminal.
sub type { my ($text) = @_; select undef, undef, undef, 0.1; $screen = ''; syswrite $to, $text }

# Waits until the screen shows the pattern; colours and moves of the cursor are left out. Gives true and the seconds it
# took.
sub expect {
   my ($pattern, $limit) = @_;
   my ($began, $rin) = (time, '');
   vec($rin, fileno $from, 1) = 1;
   while (1) {
      (my $plain = $screen) =~ s/\e\[[0-9;]*[A-Za-z]|\r(?!\n)//g;
      return wantarray ? (1, time - $began) : 1 if $plain =~ $pattern;
      my $left = $began + ($limit // 20 * $slow) - time;
      my $more = $left > 0 && select(my $r = $rin, undef, undef, $left);
      if (!$more || !sysread($from, $screen, 65536, length $screen)) {
         (my $seen = $screen) =~ s/([^\x20-\x7e\n])/sprintf '\\x%02x', ord $1/ge;
         diag("waited for $pattern, saw: $_") for split /\n/, $seen;
         return wantarray ? (0, 0) : 0;
      }
   }
}

sub finish {
   local $SIG{ALRM} = sub { kill 'KILL', $pid };
   alarm 30;
   while (sysread $from, my $rest, 65536) { }
   close $_ for $from, $to;
   waitpid $pid, 0;
   alarm 0;
   return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

sub enter { my ($line, $pattern, $name) = @_; type("$line\n"); ok expect($pattern), $name }

# ---------------------------------------------------------------- lines

is system("'$tree/stlua' '$examples/make_samples.lua' a.safetensors b.safetensors >/dev/null"), 0, 'two sample models';
ok session(), 'a prompt comes up';
enter('6 * 7', qr/\n42\r\n> $/, 'the value of an expression is printed');
enter('x = 5;', qr/x = 5;\r\n> $/, 'a statement prints nothing');
enter('x;', qr/x;\r\n> $/, 'a semicolon silences');
enter('_ + x', qr/\n10\r\n> $/, '_ is the last value');
enter('for i = 1, 2 do', qr/\r\n\.\. $/, 'an incomplete line is continued');
enter("\tprint(i * 100)", qr/print\(i \* 100\)\r\n\.\. $/, 'a tab that was pasted becomes blanks');
enter('end', qr/\n100\r\n200\r\n> $/, 'and run when it is complete');
type("function f()\n  return 'pasted'\nend\nf()\n");
ok expect(qr/\npasted\r\n> $/), 'several lines at once work';
type("local p = 7\nlocal function q() return p + 1 end\nprint(q())\n");
ok expect(qr/\n8\r\n> $/), 'and the locals of a script that is pasted stay';
enter('error "no luck"', qr/\nno luck\r\n> $/, 'an error is one clean line');
like $screen, qr/\e\[31mno luck\e\[0m/, 'and red';
enter("'\xc3\xa4' .. #'\xc3\xa4'", qr/\n\xc3\xa42\r\n> $/, 'characters beyond ASCII arrive');
enter('tostring(1.5)', qr/\n1\.5\r\n/, 'numbers have a point');

# ---------------------------------------------------------------- Tab, history

enter('m = st.open "a.safetensors"', qr/> $/, 'a model is opened');
type(qq(m["mo\t));
ok expect(qr/model\./), 'Tab completes a tensor name';
type("\t");
ok expect(qr/embed_tokens\..*layers\./s), 'and shows what may follow';
type("la\t");
ok expect(qr/layers\./), 'by segment';
type("\t");
ok expect(qr/0\.\s+1\.\s+2\.\s+3\./), 'of numbers, too';
type("2.no\t.dtype()\n");
ok expect(qr/attempt to index a function|unexpected|expected|\n> $/), 'the rest of the line is Lua';
type("#m[\"model.layers.2.no\t\n");
ok expect(qr/\n64\r\n> $/), 'a name that is complete is closed';
type("st.ler\t(1, 3, 0.5)\n");
ok expect(qr/\n2\.0\r\n> $/), 'Tab completes a field';
type($UP);
ok expect(qr/st\.lerp\(1, 3, 0\.5\)/), 'the line before comes back';
type("\n");
ok expect(qr/\n2\.0\r\n> $/), 'and runs';
type("\x12for i");
ok expect(qr/for i = 1, 2 do/), 'Ctrl-R finds a line';
type("\e");
sleep 0.2;
type("\x03");
ok expect(qr/\^C\r\n> $/), 'Ctrl-C clears the line';
enter('if true then', qr/\.\. $/, 'a piece of code is begun');
type("\x03");
ok expect(qr/\^C\r\n> $/), 'Ctrl-C abandons it';
enter('"still " .. "here"', qr/\nstill here\r\n> $/, 'and the prompt works on');
is scalar(grep { type("\x03"); expect(qr/\^C\r\n> $/) } 1 .. 3), 3, 'Ctrl-C in a row does no harm at the prompt';
type("\x04");
is finish(), 0, 'Ctrl-D leaves with 0';
is sprintf('%04o', (stat "$dir/state/stlua/history")[2] & 07777), '0600', 'the history is private';
like slurp("$dir/state/stlua/history"), qr/^6 \* 7\n.*still/s, 'and holds the lines';

ok session(), 'a second session';
type("\x12lerp");
ok expect(qr/st\.lerp\(1, 3, 0\.5\)/), 'finds lines of the first';
type("\n");
ok expect(qr/> $/), 'and runs them';
enter('exit', qr//, 'exit is understood');
is finish(), 0, 'and leaves';

# ---------------------------------------------------------------- interrupts

open my $defs, '>', 'slow.lua' or die;
print $defs <<'LUA';
local core = require "stlua.core"
local function zeros(shape, n) return core.tensor("F32", shape, ("\0"):rep(4 * n)) end
local t = zeros({ 16384, 1 }, 16384) + zeros({ 1, 32768 }, 32768)
for _ = 1, 40 do t = (t:exp() + 1):log() end
local m = core.model():add("x", t)
local function ready() print "READY" io.stdout:flush() end
function save() ready() core.save { { model = m, path = "target", sync = false } } end
function spin() ready() while true do end end
function within() ready() coroutine.wrap(function() coroutine.wrap(spin)() end)() end
local st = require "stlua"
local a = st.randn(1500, 1500, { seed = 1 }):force()
function decompose() ready() a:svd() return st.force(a:svd()) end
local long = st.randn(8000000, { seed = 2 }):force()
function order() ready() return st.force(long:sort()) end
LUA
close $defs;
open my $target, '>', 'target' or die;
print $target 'old';
close $target;

# Starts work, interrupts it, gives the seconds until the prompt was back.
sub interrupted {
   my ($call) = @_;
   type("$call\n");
   expect(qr/READY\r\n/) or return 99;
   sleep 0.3;
   type("\x03");
   my ($ok, $seconds) = expect(qr/interrupted\r\n.*> $/s);
   return $ok ? $seconds : 99;
}

sub best { my ($call) = @_; my ($best) = sort { $a <=> $b } map { interrupted($call) } 1 .. 3; return $best }

ok session('-i', 'slow.lua'), 'a script, then the prompt';
cmp_ok best('spin()'), '<', 0.1 * $slow, 'Ctrl-C in Lua code: the prompt is back in 0.1 s';
cmp_ok best('save()'), '<', 0.1 * $slow, 'Ctrl-C in C code, too';
cmp_ok best('within()'), '<', 0.1 * $slow, 'in a coroutine within one';
cmp_ok best('decompose()'), '<', 0.1 * $slow, 'in a decomposition, which nothing can stop';
cmp_ok best('order()'), '<', 0.1 * $slow, 'in a long sort';
is slurp('target'), 'old', 'the target is as it was';
is_deeply [grep { /target/ } glob('* .*')], ['target'], 'and no temporary file stays';
enter('st.open("b.safetensors"):save "c.safetensors"', qr/\n\d+\r\n(?:\d.*s.*\r\n)?> $/,
   'work after an interrupt is not refused');
enter('who()', qr/save\s+function.*\r\nspin\s+function/s, 'who() lists what the script left');
type("spin()\n");
ok expect(qr/READY\r\n/), 'once more';
type("\x03");
ok expect(qr/interrupted\r\n.*> $/s), 'an interrupt';
type("\x04");
is finish(), 0, 'and Ctrl-D still leaves with 0';

{
   local $ENV{NO_COLOR} = 1;
   ok session(), 'with NO_COLOR';
   enter('error "plain"', qr/\nplain\r\n> $/, 'an error');
   unlike $screen, qr/\e\[31m/, 'has no colour';
   close $to;
   is finish(), 129, 'a terminal that hangs up ends the session';
}

# ---------------------------------------------------------------- without a terminal

is `echo 'print(6 * 7, ...)' | '$tree/stlua'`, "42\n", 'standard input that is no terminal is a script';
is `printf '6 * 7\\nx = {\\n1 }\\nx\\n' | '$tree/stlua' -i`, "42\n{ 1 }\n", 'with -i it is lines for the prompt';
is `printf '1\\nquit\\n2\\n' | '$tree/stlua' -i`, "1\n", 'quit leaves there, too';
is system("echo 'x = {' | '$tree/stlua' -i 2>err") >> 8, 1, 'that must be complete';
like slurp('err'), qr/the input ends within a piece of code/, 'or it says so';

done_testing;
