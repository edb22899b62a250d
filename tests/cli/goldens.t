#!/usr/bin/env perl
# goldens.t - each cases/NAME.sh runs in a scratch folder of its own with stlua on the PATH; what it writes and how it
# ends must equal NAME.out, NAME.err and NAME.exit beside it (a missing file stands for nothing written and exit 0).
#
# `make goldens` (GOLDEN_UPDATE=1) writes those files. A case sees $FIXTURES, and the folder it runs in is called $PWD;
# both, and times and rates, are put back to names before comparing, for nothing else differs from run to run.
use strict;
use warnings;
use Cwd qw(abs_path getcwd);
use File::Basename qw(dirname basename);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);

my $here = abs_path(dirname($0));
my $tree = $ENV{STLUA_TREE} || abs_path("$here/../..");
my $update = $ENV{GOLDEN_UPDATE};
my @only = @ARGV;

$ENV{PATH} = "$tree:$ENV{PATH}" unless index($ENV{PATH}, "$tree:") == 0;
$ENV{STLUA_TREE} = $tree;
$ENV{FIXTURES} = abs_path("$here/../fixtures") // '';
$ENV{NO_COLOR} = 1;
$ENV{LC_ALL} = 'C.UTF-8';
delete @ENV{qw(LUA_PATH LUA_CPATH LUA_INIT LUA_PATH_5_4 LUA_CPATH_5_4 LUA_INIT_5_4)} unless $ENV{GOLDEN_KEEP_LUA};

sub slurp {
   my ($path) = @_;
   open my $f, '<:raw', $path or return '';
   local $/;
   return <$f> // '';
}

sub spew {
   my ($path, $text) = @_;
   if ($text eq '') { unlink $path; return; }
   open my $f, '>:raw', $path or die "$path: $!\n";
   print $f $text;
   close $f or die "$path: $!\n";
}

sub normal {
   my ($text, $folder) = @_;
   $text =~ s/\Q$folder\E/\$PWD/g;
   $text =~ s/\Q$ENV{FIXTURES}\E/\$FIXTURES/g if $ENV{FIXTURES};
   $text =~ s/\b\d+(?:\.\d+)? (?:s|ms)\b/<time>/g;
   $text =~ s/ \(\d+\.\d GB\/s\)$//gm; # told only where a save took longer than 0.1 s
   return $text;
}

sub note_difference {
   my ($what, $want, $got) = @_;
   my (@w, @g) = ();
   @w = split /\n/, $want, -1;
   @g = split /\n/, $got, -1;
   my $i = 0;
   $i++ while $i < @w && $i < @g && $w[$i] eq $g[$i];
   my @show = map { $_ // '(nothing more)' } ($w[$i], $g[$i]);
   s/[^\x20-\x7e\x80-\xff]/?/g for @show;
   print "# $what differs at line ", $i + 1, "\n#   expected: $show[0]\n#   got:      $show[1]\n";
}

my @cases = sort glob "$here/cases/*.sh";
@cases = grep { my $c = basename($_); grep { index($c, $_) >= 0 } @only } @cases if @only;
if (!@cases) { print "1..0 # SKIP no cases\n"; exit 0; }
print '1..', scalar @cases, "\n";

my $number = 0;
for my $case (@cases) {
   (my $base = $case) =~ s/\.sh$//;
   my $folder = abs_path(tempdir('stlua-golden-XXXXXX', TMPDIR => 1));
   my ($out, $err) = ("$folder.out", "$folder.err");
   my $pid = fork // die "fork: $!\n";
   if (!$pid) {
      chdir $folder or die "$folder: $!\n";
      open STDIN, '<', '/dev/null' or die;
      open STDOUT, '>', $out or die;
      open STDERR, '>', $err or die;
      exec 'sh', $case;
   }
   waitpid $pid, 0;
   my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
   my %got = (
      out => normal(slurp($out), $folder),
      err => normal(slurp($err), $folder),
      exit => $status ? "$status\n" : '',
   );
   unlink $out, $err;
   remove_tree($folder);

   if ($update) { spew("$base.$_", $got{$_}) for keys %got; }
   my @wrong = grep { slurp("$base.$_") ne $got{$_} } qw(exit err out);
   printf "%s %d - %s\n", @wrong ? 'not ok' : 'ok', ++$number, basename($base);
   note_difference($_, slurp("$base.$_"), $got{$_}) for @wrong;
}
