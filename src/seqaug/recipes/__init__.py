"""What we choose: from a TOML file to an assembly."""
