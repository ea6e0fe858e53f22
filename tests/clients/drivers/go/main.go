// franz-go. Speaks the line protocol of ../README.md.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func unhex(text string) []byte {
	if text == "-" {
		return nil
	}
	bytes, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	if bytes == nil {
		bytes = []byte{}
	}
	return bytes
}

func toHex(value []byte) string {
	if value == nil {
		return "-"
	}
	return hex.EncodeToString(value)
}

func create(ctx context.Context, bootstrap, topic string, partitions int, replicas int16) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...))
	if err != nil {
		return err
	}
	defer client.Close()
	made, err := kadm.NewClient(client).CreateTopic(ctx, int32(partitions), replicas, nil, topic)
	if err != nil {
		return err
	}
	return made.Err
}

func produce(ctx context.Context, bootstrap, topic, codec string, idempotent bool, path string) error {
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...),
		kgo.ProducerBatchCompression(codecs[codec]),
		kgo.ProducerLinger(20 * time.Millisecond),
		kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.MaxBufferedRecords(20_000),
	}
	if !idempotent {
		options = append(options, kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		client.Produce(ctx, recordOf(topic, line), func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func recordOf(topic, line string) *kgo.Record {
	words := strings.Split(line, "\t")
	record := &kgo.Record{Topic: topic, Key: unhex(words[1]), Value: unhex(words[2])}
	if words[0] != "-" {
		ms, _ := strconv.ParseInt(words[0], 10, 64)
		record.Timestamp = time.UnixMilli(ms)
	}
	for _, pair := range strings.Split(words[3], ",") {
		if name, value, found := strings.Cut(pair, ":"); found {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: string(unhex(name)), Value: unhex(value)})
		}
	}
	return record
}

// startOf answers the offset to begin at; an offset at or past the end means there is nothing to read.
func startOf(ctx context.Context, admin *kadm.Client, topic string, partition int32, start string) (int64, error) {
	var listed kadm.ListedOffsets
	var err error
	if when, isTime := strings.CutPrefix(start, "@"); isTime {
		ms, _ := strconv.ParseInt(when, 10, 64)
		listed, err = admin.ListOffsetsAfterMilli(ctx, ms, topic)
	} else if start == "earliest" {
		listed, err = admin.ListStartOffsets(ctx, topic)
	} else {
		return strconv.ParseInt(start, 10, 64)
	}
	if err != nil {
		return 0, err
	}
	found, _ := listed.Lookup(topic, partition)
	return found.Offset, found.Err
}

// places answers where to read each partition from, and the offset past its last record.
func places(ctx context.Context, client *kgo.Client, topic string, partitions []int32, start string) (map[int32]kgo.Offset, map[int32]int64, error) {
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	from := map[int32]kgo.Offset{}
	left := map[int32]int64{}
	for _, partition := range partitions {
		end, _ := ends.Lookup(topic, partition)
		if end.Err != nil {
			return nil, nil, end.Err
		}
		offset, err := startOf(ctx, admin, topic, partition, start)
		if err != nil {
			return nil, nil, err
		}
		if offset < end.Offset {
			from[partition] = kgo.NewOffset().At(offset)
			left[partition] = end.Offset
		}
	}
	return from, left, nil
}

// each hands on the records of partitions in the order they come, to the end or to limit records (0: no limit).
func each(ctx context.Context, bootstrap, topic string, partitions []int32, start string, limit int, take func(*kgo.Record)) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...),
		kgo.FetchMaxWait(10*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	from, left, err := places(ctx, client, topic, partitions, start)
	if err != nil {
		return err
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	count := 0
	for len(left) > 0 && (limit == 0 || count < limit) {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %d records, still waiting for %v: %w", count, left, err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if limit > 0 && count >= limit {
				return
			}
			count++
			take(record)
			if end, waiting := left[record.Partition]; waiting && record.Offset+1 >= end {
				delete(left, record.Partition)
			}
		})
	}
	return nil
}

// A run of records of one partition whose offsets and numbers grow by one.
type run struct {
	partition, epoch      int32
	number, offset, count int64
}

// writeRuns writes what numbered records (see ../python/load.py) a topic holds, as runs.
func writeRuns(ctx context.Context, bootstrap, topic string, partitions []int32, out *bufio.Writer) error {
	runs := map[int32]*run{}
	finish := func(r *run) {
		fmt.Fprintf(out, "%d\t%d\t%d\t%d\t%d\n", r.partition, r.number, r.offset, r.count, r.epoch)
	}
	err := each(ctx, bootstrap, topic, partitions, "earliest", 0, func(record *kgo.Record) {
		number, err := strconv.ParseInt(strings.TrimSpace(string(record.Value)), 10, 64)
		if err != nil {
			number = -1
		}
		last := runs[record.Partition]
		if last != nil && last.epoch == record.LeaderEpoch && last.number+last.count == number && last.offset+last.count == record.Offset {
			last.count++
			return
		}
		if last != nil {
			finish(last)
		}
		runs[record.Partition] = &run{record.Partition, record.LeaderEpoch, number, record.Offset, 1}
	})
	for _, last := range runs {
		finish(last)
	}
	return err
}

func write(out *bufio.Writer, record *kgo.Record) {
	headers := []string{}
	for _, header := range record.Headers {
		headers = append(headers, hex.EncodeToString([]byte(header.Key))+":"+toHex(header.Value))
	}
	fmt.Fprintf(out, "%d\t%d\t%d\t%s\t%s\t%s\n", record.Partition, record.Offset, record.Timestamp.UnixMilli(),
		toHex(record.Key), toHex(record.Value), strings.Join(headers, ","))
}

func partitionsIn(words string) []int32 {
	partitions := []int32{}
	for _, word := range strings.Split(words, ",") {
		partition, _ := strconv.Atoi(word)
		partitions = append(partitions, int32(partition))
	}
	return partitions
}

func toFile(path string, fill func(*bufio.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	defer out.Flush()
	return fill(out)
}

func answer(words []string) error {
	patience := 45 * time.Second
	if words[0] == "runs" {
		// Millions of records, after ten minutes of failover.
		patience = 110 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch words[0] {
	case "create":
		partitions, _ := strconv.Atoi(words[3])
		replicas, _ := strconv.Atoi(words[4])
		return create(ctx, words[1], words[2], partitions, int16(replicas))
	case "produce":
		return produce(ctx, words[1], words[2], words[3], words[4] == "1", words[5])
	case "read":
		limit, _ := strconv.Atoi(words[5])
		return toFile(words[6], func(out *bufio.Writer) error {
			return each(ctx, words[1], words[2], partitionsIn(words[3]), words[4], limit, func(record *kgo.Record) {
				write(out, record)
			})
		})
	case "admin":
		client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(words[1], ",")...))
		if err != nil {
			return err
		}
		defer client.Close()
		return judge(ctx, kadm.NewClient(client), words[2], words[3])
	case "runs":
		return toFile(words[4], func(out *bufio.Writer) error {
			return writeRuns(ctx, words[1], words[2], partitionsIn(words[3]), out)
		})
	}
	return fmt.Errorf("unknown verb %s", words[0])
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		if err := answer(strings.Split(input.Text(), "\t")); err != nil {
			fmt.Println(strings.ReplaceAll("error "+err.Error(), "\n", " "))
		} else {
			fmt.Println("ok")
		}
	}
}
