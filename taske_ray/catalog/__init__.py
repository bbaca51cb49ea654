"""The modules that come with Taske, as YAML documents, and the reader of that YAML."""
