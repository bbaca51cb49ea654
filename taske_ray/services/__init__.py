"""What a user can do: each method is one transaction and takes `owner=`. No HTTP here, no Ray, no SQL."""
