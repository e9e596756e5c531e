"""Sends the message on standard input by smtplib, and prints what happened as JSON.

Arguments: server address, port, mode (none, may, encrypt), sender, recipient, CA file.
"""
import contextlib
import io
import json
import smtplib
import ssl
import sys

server, port, mode, sender, recipient, ca = sys.argv[1:]
message = sys.stdin.buffer.read()
told = {"Delivered": False, "TLS": False, "Code": 0}


def send():
    with smtplib.SMTP(server, int(port), timeout=60) as client:
        client.set_debuglevel(1)
        client.ehlo_or_helo_if_needed()
        if mode == "encrypt" or mode == "may" and client.has_extn("starttls"):
            # A server that says no, or something else, leaves the connection in clear.
            code, _ = starttls(client)
            if code == 220:
                told["TLS"] = True
                client.ehlo()
            elif mode == "encrypt":
                told["Code"] = code
                return
        client.sendmail(sender, [recipient], message)
        told["Delivered"] = True


def starttls(client):
    try:
        return client.starttls(context=ssl.create_default_context(cafile=ca))
    except smtplib.SMTPResponseException as reply:
        return reply.smtp_code, reply.smtp_error


transcript = io.StringIO()
with contextlib.redirect_stderr(transcript):
    try:
        send()
    except smtplib.SMTPRecipientsRefused as refused:
        told["Code"] = next(iter(refused.recipients.values()))[0]
    except smtplib.SMTPResponseException as reply:
        told["Code"] = reply.smtp_code
    except (smtplib.SMTPException, OSError) as error:
        print(repr(error), file=sys.stderr)
told["Transcript"] = transcript.getvalue()
json.dump(told, sys.stdout)
