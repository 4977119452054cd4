"""The commands of `daybook`, one module a kind.

`running` does the work, `loading` decides what goes in, `reading` looks back, `alerting` decides about alerts,
`analysing` asks the lake, `estimating` needs none, `keeping` looks after it, `serving` stays up; `terminal` is what
they share. A command is a plain function whose signature is its options; `flows/cli.py` lists them. Only these modules
print. Nothing heavy is imported at the top: `daybook --help` must be quick.
"""
