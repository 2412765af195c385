"""OpenAI's formats: chat completions, text completions, embeddings.

Source: OpenAI API reference (https://platform.openai.com/docs/api-reference), and what compatible vendors make of it.
Both sides speak the same format here, so nothing is translated: requests are patched at the top level, answers and
streams pass through with the model renamed and the usage read on the way.
"""
