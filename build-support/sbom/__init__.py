"""What an image consists of: a bill of materials (CycloneDX) and the licences' texts."""
