#!/usr/bin/env bash
# behaviour: perl runs the same: hashes, regular expressions, sorting, fork
# source: real program
# programs: perl
# timeout: 60
set -eu
cat > work.pl <<'PL'
use strict; use warnings; use Digest::SHA qw(sha256_hex); use Storable qw(freeze thaw dclone);
$| = 1;
my %seen;
for my $i (1 .. 120000) { my $key = sprintf("%x", $i * 2654435761 % 65537); push @{ $seen{$key} }, $i; }
my $text = join ",", map { "$_=" . scalar @{ $seen{$_} } } sort keys %seen;
print length($text), " ", sha256_hex($text), "\n";
my $count = () = $text =~ /([0-9a-f]{2})[^,]*=(\d)/g;
print "matches $count\n";
(my $changed = $text) =~ s/(\d+)=(\d+)/$2=$1/g;
print sha256_hex($changed), "\n";
my $copy = dclone(\%seen);
print "clone ", scalar(keys %$copy), "\n";
print "thaw ", scalar(@{ thaw(freeze([1 .. 5000])) }), "\n";
for my $n (1 .. 4) {
    my $pid = fork() // die;
    if (!$pid) { my @list = map { "$_" x $n } 1 .. 20000; exit(scalar(@list) % 251); }
    waitpid $pid, 0;
    print "child $n ", $? >> 8, "\n";
}
my $string = ""; $string .= "x" x 1000 for 1 .. 20000; print length($string), "\n";
PL
PERL_HASH_SEED=0 perl work.pl
