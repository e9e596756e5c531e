package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"keepword/bench/lab"
	"keepword/bench/lab/broken"
	"keepword/inspect/verdict"
)

// The live play: fixtures of the table against real servers and clients, through the
// lab's gateway, without keepword and with it.

// attempt is a fixture played once, live.
type attempt struct {
	*fixture
	subject string // whom it is tried on
	cut     int    // octets of the first segment, 0: all in one
	play    func(ctx context.Context, st *liveStage, a *attempt) error

	// What came of it.
	word    string // what became of the attack
	harmed  bool   // it succeeded
	reports []string
	fault   string
	ends    []ends
	port    int    // the hostile server's
	mark    string // that the second message of a smuggling has
}

// ends name a connection.
type ends struct{ client, server netip.AddrPort }

// liveStage is a lab in which all attempts are made, in one setting.
type liveStage struct {
	*lab.Lab
	keepword *lab.Keepword
	servers  map[int]*broken.Server // hostile ones, by port
	attempts []*attempt
}

// firstPort is the first of the hostile servers' own ports.
const firstPort = 11000

// realServers are those that attackers' clients are tried on, besides the careless one.
var realServers = []string{"postfix", "exim", "opensmtpd"}

// smtpPort is where the real servers listen.
const smtpPort = 25

// playLive makes all attempts in a lab of its own for each setting, both at the same time.
func playLive(ctx context.Context) (without, enforced []*attempt, err error) {
	var all [2][]*attempt
	var errs [2]error
	var playing sync.WaitGroup
	for i := range all {
		playing.Go(func() {
			all[i], errs[i] = playStage(ctx, i == 1)
		})
	}
	playing.Wait()
	return all[0], all[1], errors.Join(errs[:]...)
}

// playStage makes all attempts in one setting.
func playStage(ctx context.Context, enforce bool) (attempts []*attempt, err error) {
	l, err := lab.New(lab.Options{})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	st := &liveStage{Lab: l, servers: map[int]*broken.Server{}}
	defer func() {
		for _, s := range st.servers {
			err = errors.Join(err, s.Close())
		}
	}()
	st.attempts = slices.Concat(clientAttempts(), serverAttempts())
	if err := st.startHostile(); err != nil {
		return nil, err
	}
	if enforce {
		if st.keepword, err = l.Keepword(ctx, st.config()); err != nil {
			return nil, err
		}
	}
	for _, kind := range realServers {
		if err := st.playReal(ctx, kind); err != nil {
			return nil, err
		}
	}
	st.playAll(ctx, func(a *attempt) bool { return !slices.Contains(realServers, a.subject) })
	if enforce {
		if err := st.keepword.Stop(); err != nil {
			return nil, err
		}
		if err := st.readEvents(); err != nil {
			return nil, err
		}
	}
	return st.attempts, ctx.Err()
}

// playReal makes the attempts on one real server.
func (st *liveStage) playReal(ctx context.Context, kind string) error {
	real, err := lab.StartServer(ctx, st.Server, kind, true)
	if err != nil {
		return err
	}
	mine := func(a *attempt) bool { return a.subject == kind }
	st.playAll(ctx, mine)
	var smuggled []*attempt
	for _, a := range st.attempts {
		if mine(a) && a.mark != "" {
			smuggled = append(smuggled, a)
		}
	}
	return errors.Join(countMessages(ctx, real, smuggled), real.Stop())
}

// workers is how many attempts are made at the same time: most wait.
const workers = 8

// playAll makes the chosen attempts. Those of one program that is a daemon follow each
// other: a host runs one.
func (st *liveStage) playAll(ctx context.Context, chosen func(*attempt) bool) {
	var postfix sync.Mutex
	queue := make(chan *attempt)
	var playing sync.WaitGroup
	for range workers {
		playing.Go(func() {
			for a := range queue {
				func() {
					if a.subject == sendingPostfix {
						postfix.Lock()
						defer postfix.Unlock()
					}
					if err := a.play(ctx, st, a); err != nil {
						a.fault = err.Error()
					}
				}()
			}
		})
	}
	for _, a := range st.attempts {
		if chosen(a) {
			queue <- a
		}
	}
	close(queue)
	playing.Wait()
}

// startHostile starts a server for each attempt that needs one of its own.
func (st *liveStage) startHostile() error {
	for i, a := range st.attempts {
		if slices.Contains(realServers, a.subject) {
			continue
		}
		a.port = firstPort + i
		ln, err := st.Server.Listen("tcp", fmt.Sprintf(":%d", a.port))
		if err != nil {
			return err
		}
		s, err := broken.Serve(ln, broken.ServerConfig{
			Kind: a.kind(), Hostname: st.Server.FQDN(), TLS: &tls.Config{Certificates: []tls.Certificate{st.Certificate()}},
			Pipelining: true, Reply: a.reply(),
		})
		if err != nil {
			ln.Close()
			return err
		}
		st.servers[a.port] = s
	}
	return nil
}

// config is keepword's configuration: its defaults, for the stage's ports.
func (st *liveStage) config() string {
	ports, require := []string{fmt.Sprint(smtpPort)}, []string{}
	for _, a := range st.attempts {
		if a.port == 0 {
			continue
		}
		ports = append(ports, fmt.Sprint(a.port))
		if a.require {
			require = append(require, fmt.Sprint(a.port))
		}
	}
	return fmt.Sprintf("ports: [%s]\nservers:\n  - {ports: [%s], starttls: require}\n", strings.Join(ports, ", "), strings.Join(require, ", "))
}

// readEvents gives each attempt what keepword reported of it.
func (st *liveStage) readEvents() error {
	events, err := st.keepword.Events()
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Finding() == "" {
			continue
		}
		client, err := netip.ParseAddr(e.SrcIP)
		if err != nil {
			return err
		}
		from := netip.AddrPortFrom(client, uint16(e.SrcPort))
		for _, a := range st.attempts {
			mine := a.port == e.DestPort
			for _, c := range a.ends {
				mine = mine || c.client == from && int(c.server.Port()) == e.DestPort
			}
			if report := e.Finding() + " " + e.Action(); mine && !slices.Contains(a.reports, report) {
				a.reports = append(a.reports, report)
			}
		}
	}
	return nil
}

// historyRuns says that the daemon remembers servers, so that what needs memory is due live.
const historyRuns = false

// liveFaults says what is not as it must be where keepword enforces.
func liveFaults(without, enforced []*attempt) (faults []string) {
	for i, a := range enforced {
		name := fmt.Sprintf("%s: %s, %s", a.class.name, a.fixture.name, a.subject)
		for _, what := range []string{without[i].fault, a.fault} {
			if what != "" {
				faults = append(faults, name+": "+what)
			}
		}
		if a.harmed && a.shortfall == "" {
			faults = append(faults, name+": the attack succeeded: "+a.word)
		}
		due := a.findings
		if historyRuns {
			due = slices.Concat(due, a.learned)
		}
		reported := slices.ContainsFunc(a.reports, func(report string) bool {
			id, _, _ := strings.Cut(report, " ")
			f, _ := verdict.ParseFinding(id)
			return slices.Contains(due, f)
		})
		if len(due) > 0 && a.shortfall == "" && !reported {
			faults = append(faults, fmt.Sprintf("%s: reported %v, none of %v", name, a.reports, due))
		}
	}
	return faults
}
