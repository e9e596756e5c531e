package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// page makes the captures, measures on them, and writes what was found.
func (b *bench) page(sizes []int64) (string, error) {
	if err := b.writeSuricataConfig(); err != nil {
		return "", err
	}
	out := heading(b.rounds)
	capture := filepath.Join(b.dir, "mail.pcap")
	programs := b.programs()
	peaks := make([][]string, len(programs))
	for i, size := range sizes {
		fmt.Fprintf(b.said, "a capture of %d MB\n", size)
		held, err := writeCapture(capture, size*megaoctet)
		if err != nil {
			return "", err
		}
		if err := b.check(capture, held); err != nil {
			return "", err
		}
		rounds := 1
		if i == len(sizes)-1 {
			rounds = b.rounds
		}
		costs, err := inTurn(programs, capture, rounds)
		if err != nil {
			return "", err
		}
		for k := range programs {
			peaks[k] = append(peaks[k], fmt.Sprintf("%.0f MiB", float64(median(costs[k], func(c cost) int64 { return c.peak }))/(1<<20)))
		}
		if i == len(sizes)-1 {
			out += speeds(programs, costs, held)
		}
	}
	shown, err := b.barCost(capture)
	if err != nil {
		return "", err
	}
	return out + memory(programs, peaks, sizes) + shown + meaning, nil
}

// inTurn runs each program over a capture as often as told, in turn: A B A B. A round
// before the first fills the kernel's cache and is not counted.
func inTurn(programs []program, capture string, rounds int) ([][]cost, error) {
	costs := make([][]cost, len(programs))
	for round := range rounds + 1 {
		for i, p := range programs {
			c, err := measure(p, capture)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				costs[i] = append(costs[i], c)
			}
		}
	}
	return costs, nil
}

// median returns the middle one of a figure of several runs, the upper of two.
func median[T cmp.Ordered](runs []cost, figure func(cost) T) T {
	return sorted(runs, figure)[len(runs)/2]
}

func sorted[T cmp.Ordered](runs []cost, figure func(cost) T) []T {
	var list []T
	for _, c := range runs {
		list = append(list, figure(c))
	}
	slices.Sort(list)
	return list
}

func wall(c cost) time.Duration      { return c.wall }
func processor(c cost) time.Duration { return c.processor }

func heading(rounds int) string {
	commit, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	return fmt.Sprintf(`
## A large capture through replay

    go run ./bench/replay                       # prints this part
    go run ./bench/replay -o bench/README.md    # and puts it in place of the one here

Made %s, commit %s, %s on %d cores; medians of %d runs in turn, least and greatest in brackets.

`, time.Now().UTC().Format("2 January 2006 15:04 MST"), strings.TrimSpace(string(commit)), runtime.Version(), runtime.NumCPU(), rounds)
}

// speeds writes the table of what is measured on the last capture. Ratios are to the
// first program, round by round.
func speeds(programs []program, costs [][]cost, held contents) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%.2f GB, %d packets, %d sessions, %d of them with STARTTLS, up to %d at once.\n\n",
		float64(held.octets)/1e9, held.packets, held.sessions, held.secured, atOnce)
	s.WriteString("| program | seconds | packets a second | MB/s | processor seconds | its speed to keepword's |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	for i, p := range programs {
		times := sorted(costs[i], wall)
		took := median(costs[i], wall).Seconds()
		var ratios []float64
		for k := range costs[i] {
			ratios = append(ratios, costs[0][k].wall.Seconds()/costs[i][k].wall.Seconds())
		}
		slices.Sort(ratios)
		fmt.Fprintf(&s, "| `%s` | %.2f (%.2f – %.2f) | %.2f M | %.0f | %.2f | %.2f |\n", p.name, took, times[0].Seconds(), times[len(times)-1].Seconds(),
			float64(held.packets)/took/1e6, float64(held.octets)/took/1e6, median(costs[i], processor).Seconds(), ratios[len(ratios)/2])
	}
	return s.String() + "\n"
}

// memory writes the table of the peaks of resident memory.
func memory(programs []program, peaks [][]string, sizes []int64) string {
	var s strings.Builder
	s.WriteString("| peak of resident memory |")
	for _, size := range sizes {
		fmt.Fprintf(&s, " %d MB |", size)
	}
	s.WriteString("\n| --- |" + strings.Repeat(" ---: |", len(sizes)) + "\n")
	for i, p := range programs {
		fmt.Fprintf(&s, "| `%s` | %s |\n", p.name, strings.Join(peaks[i], " | "))
	}
	return s.String() + "\n"
}

// barCost measures what the line that shows progress costs: the same replay with stderr a
// terminal, which script(1) provides, and a file there.
func (b *bench) barCost(capture string) (string, error) {
	script, err := exec.LookPath("script")
	if err != nil {
		return "What the line that shows progress costs was not measured: script is not installed.\n\n", nil
	}
	log := filepath.Join(b.dir, "typescript")
	through := func(name, redirected string) program {
		line := fmt.Sprintf("'%s' replay --json '%s' >/dev/null %s", b.keepword, capture, redirected)
		return program{name, func(string) *exec.Cmd {
			cmd := exec.Command(script, "-q", "-e", "-c", line, log)
			cmd.Env = append(os.Environ(), "TERM=xterm")
			return cmd
		}}
	}
	const quick = 10 // runs are short, and the difference is small
	costs, err := inTurn([]program{through("silent", "2>/dev/null"), through("shown", "")}, capture, max(b.rounds, quick))
	if err != nil {
		return "", err
	}
	shown, err := os.ReadFile(log)
	if err != nil {
		return "", err
	}
	if !strings.Contains(string(shown), " MB/s ") {
		return "", fmt.Errorf("no progress was shown on the terminal, which was sent %q", shown)
	}
	var ratios []float64
	for k := range costs[0] {
		ratios = append(ratios, costs[1][k].processor.Seconds()/costs[0][k].processor.Seconds())
	}
	slices.Sort(ratios)
	return fmt.Sprintf("With the line that shows progress on a terminal, replay takes %.3f times the processor's time without (%.3f – %.3f, %d pairs in turn); seconds on the clock are %.2f and %.2f.\n\n",
		ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], len(ratios), median(costs[1], wall).Seconds(), median(costs[0], wall).Seconds()), nil
}

const meaning = `*The capture* is made by the command: TCP over IPv4, and over IPv6 in one session of four, in Ethernet
frames with timestamps and window scaling. Seven sessions of ten deliver one to three messages of
1 KiB to 200 KiB in clear text, small ones more often, prose or base64; three leave for TLS 1.3 with
a real ClientHello and ServerHello and go on in protected records. Five of a thousand segments come
twice, and five are overtaken. It lies in the kernel's cache when it is read.

*Is it read?* Before anything is timed, each program must have followed every session, and those that
leave for TLS into it; keepword with the outcome that each was written with, and no finding.

*Events* go to /dev/null, and so does the report. keepword and Suricata write the same kinds: a flow's
end, findings, and the dialogue, which for Suricata are smtp and tls events. Suricata has no rules, no
MIME decoding, no protocol but SMTP and TLS, no limit to how far it follows a stream, and verifies no
checksums, as replay doesn't. *single* is one thread, as keepword's replay; *autofp* as many as it
likes. The programs' own start is in the seconds.

*Memory* is the kernel's high-water mark (VmHWM). What keepword keeps follows the sessions that are
open, or have closed within the last minute of the capture's time, not the file. The shortest captures
are over before Go's collector has had reason to run twice; from then on nothing is added.

*What limits it.* By the profile (events left out) half is inspection, of which the
scanner of mail data takes a sixth, a third is the kernel's copying of the file, and a tenth the copying
into a batch. Reading ahead in a goroutine of its own was tried: the octets are then in another core's
cache, which takes a quarter more of processor time and wins nothing on the clock.
`
