"""Sends the messages of a JSON list on standard input by smtplib, all in one session.

Arguments: server address, "starttls" or anything else, sender, recipient.
"""
import json
import smtplib
import ssl
import sys

server, mode, sender, recipient = sys.argv[1:]
messages = json.load(sys.stdin)
recipients = [recipient, "carol@" + recipient.partition("@")[2]]
with smtplib.SMTP(server, 25, local_hostname="client.example.net", timeout=30) as client:
    if mode == "starttls":
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        client.starttls(context=trusting)
        messages = messages[:3]
    client.ehlo_or_helo_if_needed()
    client.noop()
    client.help()
    client.verify(recipient)
    for number, message in enumerate(messages):
        client.sendmail(sender, recipients[: 1 + number % 2], message.encode())
    client.rset()
