"""The methods: from pictures in memory to pictures in memory. No files, no flags, no bars."""
