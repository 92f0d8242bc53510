"""The accepted file formats, one file each, and what they share. `seqaug.data.readers` is the way in."""
