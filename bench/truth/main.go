// Command truth holds what keepword reads in captures against what is known of them:
//
//	go run ./bench/truth DIR
//
// DIR holds captures and, in truth.jsonl, one object for each SMTP session in them:
// file, client, server, advertised, requested, starttls_reply, tls_client, tls_server.
// Each session in which the two disagree is printed with both readings; any of them,
// and any file that can't be replayed, makes the exit status 1.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// config names the ports of the captures, not all of which are SMTP's.
const config = "ports: [21, 25, 465, 587, 2525, 6667]\n"

// reading is what a session was, as the one or the other reads it.
type reading struct {
	Offered, Asked           bool
	Reply                    string
	ClientHello, ServerHello bool
}

// known is one line of truth.jsonl.
type known struct {
	File, Client, Server string
	Advertised           bool
	Requested            int
	Reply                *string              `json:"starttls_reply"`
	TLSClient            *struct{ HS string } `json:"tls_client"`
	TLSServer            *struct{ HS string } `json:"tls_server"`
	ToServer             int                  `json:"c2s_bytes"`
	ToClient             int                  `json:"s2c_bytes"`
	Note                 string
}

func (k *known) reading() (r reading) {
	r.Offered, r.Asked = k.Advertised, k.Requested > 0
	if k.Reply != nil {
		r.Reply = *k.Reply
	}
	r.ClientHello = k.TLSClient != nil && k.TLSClient.HS == "ClientHello"
	r.ServerHello = k.TLSServer != nil && k.TLSServer.HS == "ServerHello"
	return r
}

// event is what a flow event says of it.
type event struct {
	Type     string     `json:"event_type"`
	SrcIP    netip.Addr `json:"src_ip"`
	SrcPort  uint16     `json:"src_port"`
	DestIP   netip.Addr `json:"dest_ip"`
	DestPort uint16     `json:"dest_port"`
	Metadata struct {
		Flowbits []string
		Flowvars []map[string]string
	}
}

func (e *event) reading() (r reading) {
	has := func(bit string) bool { return slices.Contains(e.Metadata.Flowbits, bit) }
	r.Offered, r.Asked = has("starttls.offered"), has("starttls.asked")
	r.ClientHello, r.ServerHello = has("tls.clienthello"), has("tls.serverhello")
	for _, v := range e.Metadata.Flowvars {
		r.Reply += v["starttls.reply"]
	}
	return r
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "truth: name the directory with the captures and truth.jsonl")
		os.Exit(2)
	}
	if err := compare(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "truth:", err)
		os.Exit(1)
	}
}

func compare(dir string) error {
	truth, err := readTruth(filepath.Join(dir, "truth.jsonl"))
	if err != nil {
		return err
	}
	program, done, err := build()
	if err != nil {
		return err
	}
	defer done()
	files, failed, sessions, agree := 0, 0, 0, 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), ".pcap") {
			return err
		}
		files++
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		flows, err := replay(program, path)
		if err != nil {
			failed++
			fmt.Printf("%s: %v\n", name, err)
		}
		for _, k := range truth[name] {
			sessions++
			got, found := take(flows, k.Client+" "+k.Server)
			switch want := k.reading(); {
			case !found && k.ToServer+k.ToClient == 0, found && got == want:
				agree++
			case !found:
				fmt.Printf("%s: %s to %s: no flow event\n", name, k.Client, k.Server)
			default:
				fmt.Printf("%s: %s to %s:\n  keepword %+v\n  truth    %+v\n  %s\n", name, k.Client, k.Server, got, want, k.Note)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d files, %d not replayed; %d sessions, %d agree\n", files, failed, sessions, agree)
	if failed > 0 || agree != sessions || sessions == 0 {
		return fmt.Errorf("%d sessions disagree, %d files failed", sessions-agree, failed)
	}
	return nil
}

// take removes the first reading of a session.
func take(flows map[string][]reading, session string) (r reading, ok bool) {
	list := flows[session]
	if len(list) == 0 {
		return r, false
	}
	flows[session] = list[1:]
	return list[0], true
}

func readTruth(path string) (map[string][]known, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	truth := map[string][]known{}
	for line := range bytes.Lines(b) {
		var k known
		if err := json.Unmarshal(line, &k); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		truth[k.File] = append(truth[k.File], k)
	}
	return truth, nil
}

// build makes the program that is held to the truth.
func build() (program string, done func(), err error) {
	dir, err := os.MkdirTemp("", "keepword-truth")
	if err != nil {
		return "", nil, err
	}
	done = func() { os.RemoveAll(dir) }
	program = filepath.Join(dir, "keepword")
	if out, err := exec.Command("go", "build", "-o", program, "./cmd/keepword").CombinedOutput(); err != nil {
		done()
		return "", nil, fmt.Errorf("go build ./cmd/keepword: %w\n%s", err, out)
	}
	if err := os.WriteFile(program+".yaml", []byte(config), 0o600); err != nil {
		done()
		return "", nil, err
	}
	return program, done, nil
}

// replay returns the readings of a capture's sessions by "client server", in order.
func replay(program, path string) (map[string][]reading, error) {
	cmd := exec.Command(program, "replay", "-c", program+".yaml", "--json", path)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(errs.Bytes()))
	}
	flows := map[string][]reading{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return flows, err
		}
		if e.Type == "flow" {
			session := fmt.Sprintf("%s:%d %s:%d", e.SrcIP, e.SrcPort, e.DestIP, e.DestPort)
			flows[session] = append(flows[session], e.reading())
		}
	}
	if err == nil {
		err = lines.Err()
	}
	return flows, err
}
