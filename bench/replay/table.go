package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"keepword/bench/figures"
)

// page makes the captures, measures on them, and writes what was found.
func (b *bench) page(sizes []int64) (string, error) {
	if err := b.writeSuricataConfig(); err != nil {
		return "", err
	}
	out := fmt.Sprintf("%s; medians of %d rounds, the least and the greatest in brackets.\n\n", figures.Circumstances("go run ./bench/replay"), b.rounds)
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
			peaks[k] = append(peaks[k], fmt.Sprintf("%.0f MiB", figure(costs[k], peak).Median()/(1<<20)))
		}
		if i == len(sizes)-1 {
			out += speeds(programs, costs, held)
		}
	}
	shown, err := b.barCost(capture)
	if err != nil {
		return "", err
	}
	return out + memory(programs, peaks, sizes) + shown, nil
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

// figure collects one figure of several runs.
func figure(runs []cost, of func(cost) float64) (s figures.Series) {
	for _, c := range runs {
		s = append(s, of(c))
	}
	return s
}

func wall(c cost) float64      { return c.wall.Seconds() }
func processor(c cost) float64 { return c.processor.Seconds() }
func peak(c cost) float64      { return float64(c.peak) }

// speeds writes the table of what is measured on the last capture. Ratios are to the
// first program, round by round.
func speeds(programs []program, costs [][]cost, held contents) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%.2f GB, %d packets, %d sessions, %d of them with STARTTLS, up to %d at once.\n\n",
		float64(held.octets)/1e9, held.packets, held.sessions, held.secured, atOnce)
	s.WriteString("| program | seconds | packets a second | MB/s | processor seconds | its speed to keepword's |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	for i, p := range programs {
		took := figure(costs[i], wall)
		median := took.Median()
		fmt.Fprintf(&s, "| `%s` | %s (%s – %s) | %s M | %.0f | %s | %s |\n", p.name,
			figures.Digits(median), figures.Digits(slices.Min(took)), figures.Digits(slices.Max(took)),
			figures.Digits(float64(held.packets)/median/1e6), float64(held.octets)/median/1e6,
			figures.Digits(figure(costs[i], processor).Median()), figures.Digits(figure(costs[0], wall).By(took).Median()))
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
		return "What the line that shows progress costs was not measured: script is not installed.\n", nil
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
	silent, visible := costs[0], costs[1]
	ratio := figure(visible, processor).By(figure(silent, processor))
	return fmt.Sprintf("With the line that shows progress on a terminal, replay takes %.3f times the processor's time that it takes without (%.3f – %.3f, %d pairs in turn).\n",
		ratio.Median(), slices.Min(ratio), slices.Max(ratio), len(ratio)), nil
}
