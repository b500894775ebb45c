#!/usr/bin/env bash
# behaviour: a perl program needs no more instructions than with glibc's malloc, but for the bound
# source: real program
# timeout: 300
set -eu
cat > work.pl <<'PL'
my %seen;
for my $i (1 .. 30000) { push @{ $seen{ sprintf("%x", $i * 2654435761 % 9973) } }, $i }
my $text = join ",", map { "$_=" . scalar @{ $seen{$_} } } sort keys %seen;
my $count = () = $text =~ /([0-9a-f]{2})[^,]*=(\d)/g;
my @list = map { "$_" x 3 } 1 .. 20000;
print "$count\n";
PL
PERL_HASH_SEED=0 $COUNT perl work.pl
