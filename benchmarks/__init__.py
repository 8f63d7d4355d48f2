"""Speed, as ratios against peers on the same bytes in one run; run by hand, never in CI."""
