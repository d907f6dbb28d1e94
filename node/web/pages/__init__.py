"""The pages, one module for each subject. Each works without script; with it, parts are refreshed in place."""
