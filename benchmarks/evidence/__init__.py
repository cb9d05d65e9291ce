"""The evidence: does LSI do what it claims, beside what else is at hand? One study a module."""
