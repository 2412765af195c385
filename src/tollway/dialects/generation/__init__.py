"""The middle form of chat-like calls: what every dialect can be read into and written from.

`request` and `answer` hold the data, `dialect` what a dialect must offer, `losses` what may get lost on the way. A call
is translated through it only where the caller's format is not the provider's; where they agree, bytes stay bytes.
"""
