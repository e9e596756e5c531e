# So many sessions with a finding each, one after the other; says how many went well.
import socket, socketserver, sys, threading
class Box(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 mx.example.net ready\r\n")
        for line in self.rfile:
            verb = line.split()[0].upper()
            self.wfile.write(b"250-mx.example.net\r\n250 STARTTLS\r\n" if verb == b"EHLO" else b"250 OK, done and done\r\n")
            if verb == b"QUIT":
                return
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
server = Server(("127.0.0.1", 2525), Box)
threading.Thread(target=server.serve_forever, daemon=True).start()
good = 0
for i in range(int(sys.argv[1])):
    c = socket.create_connection(("127.0.0.1", 2525), timeout=10); r = c.makefile("rb")
    r.readline()
    for line in b"EHLO client.example", b"STARTTLS", b"QUIT":
        c.sendall(line + b"\r\n")
        while True:
            last = r.readline()
            if last[3:4] != b"-": break
    good += last.startswith(b"250 OK")
    r.close(); c.close()
print(good, "sessions went well")
