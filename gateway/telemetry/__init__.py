"""What the operator's OpenTelemetry collector is told: spans of calls, and metrics. Off unless gateway.yaml says where.

Names and numbers only: the attributes of the generative-AI conventions that hold messages, instructions, tools or
answers are never set, since nothing here is given any. It is best effort: the record of calls is the log.
"""
