"""What is in the box. Built-ins import `seqaug.api` only, as strangers do."""
