"""Senders of messages: SMS, WhatsApp and e-mail."""
