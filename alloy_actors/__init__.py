"""OTP for LLM agents."""
