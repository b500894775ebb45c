# Hashes, arrays and strings: words counted, split, substituted and sorted.
use strict;
use warnings;
my ($total, %count, @kept) = (0);
for my $turn (1 .. 4) {
    my @rows = map { { id => $_, name => "row $_", tags => [ "t" . $_ % 17, "u" . $_ % 5 ] } } 1 .. 40000;
    for my $row (@rows) {
        (my $key = $row->{name}) =~ s/row (\d)/r$1-$turn/;
        $count{$key} += $row->{id};
        push @kept, $row if $row->{id} % 40 == 0;
    }
    my $text = join ' ', map { $_->{name} } @rows;
    $total += length $_ for split / /, $text;
}
my @sorted = sort keys %count;
print "$total ", scalar(@sorted), ' ', scalar(@kept), "\n";
