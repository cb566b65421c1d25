"""Keeps pykka actors running: mailboxes, lifecycles, monitors and supervisors."""
