// Command catalogue shows of every finding of the catalogue that it is made, reported and
// answered as configured.
package main

func fixtures() (all []*Fixture) {
	for _, list := range [][]*Fixture{promise(), injection(), lines(), packets()} {
		all = append(all, list...)
	}
	return all
}

func main() {}
