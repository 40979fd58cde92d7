"""Getting clips: from YouTube, from a mirror, or out of what a lab has already.

`request` says what is wanted, `child` gets it in a process of its own (with `ytdlp` or `places`,
`cut`, `verify`), `budget` says when, `worker` does a unit, `media_store` keeps what came.
"""
