package main

// bodies are what messages hold, as people and programs write it.
var bodies = append([]body{
	{name: "a letter", text: `Dear Bob,

the parcel came this morning. Everything is in it but the lid.

Yours
Alice
`},
	{name: "sentences that begin with verbs of SMTP, behind a line of one dot", text: `Notes
.
Data: the second column was wrong
.
Data is what we have
.
Help me with the boxes
.
Mail from my mother came today
.
Mail me when you are there
.
Quit smoking, she says
.
Quit it
.
Noop is a word of machines
.
Rset was the name of the button
.
Reset the router
.
Starttls does not work here
.
Auth failed for root from 192.0.2.7
.
Helo there my friend
.
Hello
.
Expn is switched off
.
Vrfy is answered with 252 here
.
Bdat, who needs that
.
Rcpt attached
.
Turn left at the church
.
Mail from: Bob Miller
.
  Mail from: my mother, received today
.
Data
.
Quit
.
Noop
.
Auth failed
.
Auth error 5
.
Helo world
.
Ehlo everyone
.
Expn all
.
Vrfy it
.
From: the desk of A. Miller
.
To: whom it may concern
`},
	{name: "a signature of dashes and dots", text: "See you tomorrow\n--\n.\n\n-- \nAlice\n.\n..\n...\n"},
	{name: "a dot alone, and text behind it", text: "one\n.\ntwo\n.\n\n.\n \n.\n> three\n.\n"},
	{name: "a dot and blanks", text: "one\n. \ntwo\n.\t\nthree\n .\nfour\n. . .\n"},
	{name: "dots at line starts", text: ".\n..\n...\n.x\n..x\n.profile\n./configure\n../etc\n.com\n"},
	{name: "empty lines", text: "\n\n\none\n\n\n\n\ntwo\n\n\n"},
	{name: "UTF-8", text: "Grüße aus Köln\nДобрый день\n日本語の手紙\n🙂\n．\n。\n"},
	{name: "quoted-printable", text: "Gr=C3=BC=C3=9Fe=\n=2E\n.=\n=0A.=0D=0AMAIL FROM:=3Ceve@example.net=3E\n=20\n"},
	{name: "a multipart message", text: `--frontier
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Look at the second part.
.
--frontier
Content-Type: message/rfc822

From: carol@example.com
To: alice@example.net
Subject: forwarded

Mail from me, as promised.

--frontier--
`},
	{name: "HTML", text: "<!DOCTYPE html>\n<html><body>\n<p>Hello.\n.\n</p>\n<style>\n.menu { color: red }\n.menu\n{\n}\n</style>\n</body></html>\n"},
	{name: "a mailbox file", text: `From alice@example.net Mon Jun  2 10:11:12 2025
From: alice@example.net
Subject: one

>From the first line on it was clear.
.

From bob@example.org Mon Jun  2 10:12:12 2025
From: bob@example.org
Subject: two

>>From deeper still.
From here on nothing.

`},
	{name: "a report of a message that was not delivered", text: `This is the mail system at host mx.example.

<bob@example.org>: host mail.example.org[203.0.113.5] said: 550 5.1.1
    <bob@example.org>: Recipient address rejected (in reply to RCPT TO command)

--A1/mx.example
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
Final-Recipient: rfc822; bob@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 unknown
`},
	{name: "a table", text: "name;command;reply\nalice;MAIL FROM:<a@b>;250\n.;DATA;354\n;QUIT;221\n"},
	{name: "a calendar", text: "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nSUMMARY:Quit smoking\nDESCRIPTION:Mail from: nobody\n .\nEND:VEVENT\nEND:VCALENDAR\n"},
	{name: "an armoured signature", text: "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- -- \n.\n- From here\n-----BEGIN PGP SIGNATURE-----\n\niQEzBAEBCAAdFiEEQUITDATARSETNOOPSTARTTLS\n=abcd\n-----END PGP SIGNATURE-----\n"},
	{name: "uuencode", text: "begin 644 a.bin\nM5TE2(%-405)45$Q3(%%5250@1$%402!24T54($Y/3U`@34%)3\"!&4D]-.CPA\n.\n`\nend\n"},
	{name: "an argument about smuggling", text: `Which of them does your server take for the end of a message?

LF.LF            \n.\n        many once did
CRLF.LF          \r\n.\n      some
LF.CRLF          \n.\r\n      two boxes that we know
CR.CR, CR.LF     \r.\r, \r.\n  old ones
CRLF.CRCRLF      \r\n.\r\r\n
NUL before it    \r\n\0.\r\n

The attack puts "MAIL FROM:<admin@...>" and "RCPT TO:<...>" behind one of them,
so that the rest is read as a second message. STARTTLS behind DATA is text, and
answered-for-server, command-injection or smuggling are names of findings.
The end is CRLF.CRLF
.
and nothing else.
`},
}, append(append(programs, dialogues...), made...)...)
