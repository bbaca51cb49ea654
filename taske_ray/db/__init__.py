"""The only package that speaks SQL. Rows are the truth; everything else is a cache with behaviour."""
