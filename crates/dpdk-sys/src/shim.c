/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Rust cannot call or must not know: inline functions, thread-local variables, and every DPDK struct whose
 * layout differs between releases. The structs that cross this border are ours: fixed width, no pointers.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/if_packet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

/* The part of the mbuf that src/lib.rs mirrors. Equal in 22.11, 23.11, 24.11 and 25.11. */
#define AT(field, offset) \
	_Static_assert(offsetof(struct rte_mbuf, field) == (offset), "rte_mbuf." #field " moved")
AT(buf_addr, 0);
AT(data_off, 16);
AT(refcnt, 18);
AT(nb_segs, 20);
AT(port, 22);
AT(ol_flags, 24);
AT(packet_type, 32);
AT(pkt_len, 36);
AT(data_len, 40);
AT(vlan_tci, 42);
AT(hash.rss, 44);
AT(buf_len, 54);
AT(pool, 56);
AT(next, 64);
AT(tx_offload, 72);

/* The flags that src/lib.rs repeats. */
#define IS(name, value) _Static_assert((name) == (value), #name " changed")
IS(RTE_MBUF_F_RX_RSS_HASH, 1ULL << 1);
IS(RTE_MBUF_F_RX_L4_CKSUM_BAD, 1ULL << 3);
IS(RTE_MBUF_F_RX_IP_CKSUM_BAD, 1ULL << 4);
IS(RTE_MBUF_F_RX_IP_CKSUM_GOOD, 1ULL << 7);
IS(RTE_MBUF_F_RX_L4_CKSUM_GOOD, 1ULL << 8);
IS(RTE_MBUF_F_TX_TCP_CKSUM, 1ULL << 52);
IS(RTE_MBUF_F_TX_SCTP_CKSUM, 2ULL << 52);
IS(RTE_MBUF_F_TX_UDP_CKSUM, 3ULL << 52);
IS(RTE_MBUF_F_TX_IP_CKSUM, 1ULL << 54);
IS(RTE_MBUF_F_TX_IPV4, 1ULL << 55);
IS(RTE_MBUF_F_TX_IPV6, 1ULL << 56);
IS(RING_F_SP_ENQ, 1);
IS(RING_F_SC_DEQ, 2);
IS(RTE_PKTMBUF_HEADROOM, 128);
IS(RTE_ETH_XSTATS_NAME_SIZE, 64);

/* ---- environment ---- */

const char *shim_plugin_dir(void)
{
#ifdef RTE_EAL_PMD_PATH
	return RTE_EAL_PMD_PATH;
#else
	return "";
#endif
}

int shim_errno(void) { return rte_errno; }
unsigned shim_lcore_id(void) { return rte_lcore_id(); }

typedef void (*shim_log_fn)(unsigned level, const char *text, size_t len);
static shim_log_fn log_fn;

static ssize_t log_write(void *cookie, const char *text, size_t len)
{
	(void)cookie;
	log_fn((unsigned)rte_log_cur_msg_loglevel(), text, len);
	return (ssize_t)len;
}

int shim_log_to(shim_log_fn fn)
{
	cookie_io_functions_t io = { .write = log_write };
	FILE *stream;

	log_fn = fn;
	stream = fopencookie(NULL, "w", io);
	if (stream == NULL)
		return -1;
	return rte_openlog_stream(stream);
}

/* The level is 0 for warnings; what is above goes as DPDK's information. */
static int bpf_print(int level, const char *format, va_list args)
{
	char text[512];
	int len = vsnprintf(text, sizeof(text), format, args);

	if (len > 0)
		log_fn(level == 0 ? RTE_LOG_WARNING : RTE_LOG_INFO, text,
		       (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
	return len;
}

/* The libraries under af_xdp print to standard error unless told otherwise. They came with the driver, if at all. */
void shim_bpf_log(void)
{
	static const char *const libraries[][2] = {
		{ "libbpf.so.1", "libbpf_set_print" },
		{ "libxdp.so.1", "libxdp_set_print" },
	};
	size_t i;

	for (i = 0; i < RTE_DIM(libraries); i++) {
		void *library = dlopen(libraries[i][0], RTLD_LAZY | RTLD_NOLOAD);
		void *(*set_print)(int (*)(int, const char *, va_list));

		if (library == NULL)
			continue;
		set_print = (void *(*)(int (*)(int, const char *, va_list)))dlsym(library, libraries[i][1]);
		if (set_print != NULL)
			set_print(bpf_print);
		dlclose(library);
	}
}

/* ---- mbufs ---- */

struct rte_mbuf *shim_alloc(struct rte_mempool *pool) { return rte_pktmbuf_alloc(pool); }

int shim_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned count)
{
	return rte_pktmbuf_alloc_bulk(pool, mbufs, count);
}

void shim_free(struct rte_mbuf *mbuf) { rte_pktmbuf_free(mbuf); }

uint16_t shim_data_room(struct rte_mempool *pool) { return rte_pktmbuf_data_room_size(pool); }

/* A packet of several segments, or one that somebody else refers to, becomes one that is ours alone; or it cannot. */
static int make_plain(struct rte_mbuf *mbuf)
{
	return rte_mbuf_refcnt_read(mbuf) == 1 && rte_pktmbuf_linearize(mbuf) == 0;
}

/*
 * Receives up to `count` packets and marks them as coming from `owner`, which differs from `port` where several devices
 * of DPDK make up one port. What cannot be made plain is freed and counted in `bad`.
 */
uint16_t shim_rx(uint16_t port, uint16_t queue, uint16_t owner, struct rte_mbuf **mbufs, uint16_t count, uint16_t *bad)
{
	uint16_t got = rte_eth_rx_burst(port, queue, mbufs, count), kept = 0, i;

	for (i = 0; i < got; i++) {
		struct rte_mbuf *mbuf = mbufs[i];

		if (likely(mbuf->nb_segs == 1 && rte_mbuf_refcnt_read(mbuf) == 1) || make_plain(mbuf)) {
			mbuf->port = owner;
			mbufs[kept++] = mbuf;
		} else {
			rte_pktmbuf_free(mbuf);
		}
	}
	*bad = got - kept;
	return kept;
}

/* Sends from the front; `prepare` says that packets may ask for checksums, which some drivers want prepared. */
uint16_t shim_tx(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count, int prepare)
{
	if (prepare)
		count = rte_eth_tx_prepare(port, queue, mbufs, count);
	return rte_eth_tx_burst(port, queue, mbufs, count);
}

void shim_request_csum(struct rte_mbuf *mbuf, uint64_t flags, uint16_t l2_len, uint16_t l3_len)
{
	mbuf->ol_flags |= flags;
	mbuf->l2_len = l2_len;
	mbuf->l3_len = l3_len;
}

/* ---- rings ---- */

unsigned shim_ring_put(struct rte_ring *ring, void *const *objs, unsigned count)
{
	return rte_ring_sp_enqueue_burst(ring, objs, count, NULL);
}

unsigned shim_ring_take(struct rte_ring *ring, void **objs, unsigned count)
{
	return rte_ring_sc_dequeue_burst(ring, objs, count, NULL);
}

unsigned shim_ring_count(const struct rte_ring *ring) { return rte_ring_count(ring); }

/* ---- ports ---- */

#define CSUM_RX (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)
#define CSUM_TX (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
#define RSS_TCPUDP (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP | \
		    RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP)
#define RSS_WANTED (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP)

struct shim_port_info {
	char driver[64];
	uint32_t max_rx_queues, max_tx_queues;
	uint32_t min_mtu, max_mtu;
	uint32_t rss_table, rss_key;
	uint32_t min_rx_bufsize;
	uint8_t csum_rx, csum_tx; /* bit 0 IPv4, 1 UDP, 2 TCP */
	uint8_t rss;              /* hashes addresses and ports of TCP and UDP over both families */
	uint8_t rss_hash;         /* can deliver the hash with the packet */
};

static uint8_t csum_bits(uint64_t capa, uint64_t ip, uint64_t udp, uint64_t tcp)
{
	return (uint8_t)(((capa & ip) ? 1 : 0) | ((capa & udp) ? 2 : 0) | ((capa & tcp) ? 4 : 0));
}

int shim_port_info(uint16_t port, struct shim_port_info *out)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port, &info);

	memset(out, 0, sizeof(*out));
	if (rc != 0)
		return rc;
	if (info.driver_name != NULL)
		snprintf(out->driver, sizeof(out->driver), "%s", info.driver_name);
	out->max_rx_queues = info.max_rx_queues;
	out->max_tx_queues = info.max_tx_queues;
	out->min_mtu = info.min_mtu;
	out->max_mtu = info.max_mtu;
	out->rss_table = info.reta_size;
	out->rss_key = info.hash_key_size;
	out->min_rx_bufsize = info.min_rx_bufsize;
	out->csum_rx = csum_bits(info.rx_offload_capa, RTE_ETH_RX_OFFLOAD_IPV4_CKSUM, RTE_ETH_RX_OFFLOAD_UDP_CKSUM,
				 RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
	out->csum_tx = csum_bits(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, RTE_ETH_TX_OFFLOAD_UDP_CKSUM,
				 RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
	out->rss = (info.flow_type_rss_offloads & RSS_TCPUDP) == RSS_TCPUDP;
	out->rss_hash = (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH) != 0;
	return 0;
}

/* Numbers a device reports of itself, in the order of LIMITS in src/lib.rs. */
int shim_port_limits(uint16_t port, uint64_t *out)
{
	struct rte_eth_dev_info i;
	int rc = rte_eth_dev_info_get(port, &i);

	if (rc != 0)
		return rc;
	const uint64_t all[] = {
		i.if_index, i.min_rx_bufsize, i.max_rx_pktlen, i.max_mac_addrs,
		i.max_rx_queues, i.max_tx_queues, i.max_hash_mac_addrs, i.max_vfs,
		i.max_vmdq_pools, i.rx_offload_capa, i.tx_offload_capa, i.reta_size,
		i.hash_key_size, i.flow_type_rss_offloads, i.vmdq_queue_base, i.vmdq_queue_num,
		i.rx_desc_lim.nb_max, i.rx_desc_lim.nb_min, i.rx_desc_lim.nb_align, i.vmdq_pool_base,
		i.tx_desc_lim.nb_max, i.tx_desc_lim.nb_min, i.tx_desc_lim.nb_align, i.speed_capa,
	};

	_Static_assert(sizeof(all) == 24 * sizeof(uint64_t), "LIMITS in src/lib.rs differs");
	memcpy(out, all, sizeof(all));
	return 0;
}

struct shim_port_conf {
	uint32_t mtu;
	uint16_t rx_queues, tx_queues;
	uint16_t rx_desc, tx_desc; /* in: wanted; out: what the device can do */
	uint8_t rss, csum_rx, csum_tx;
	uint8_t key_len; /* 0: the driver's own key */
	uint8_t key[64];
};

/* Configures the device and its queues; does not start it. */
int shim_port_configure(uint16_t port, struct shim_port_conf *c, struct rte_mempool *pool)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	struct rte_eth_rxconf rx;
	struct rte_eth_txconf tx;
	int rc, socket;
	uint16_t q;

	rc = rte_eth_dev_info_get(port, &info);
	if (rc != 0)
		return rc;
	memset(&conf, 0, sizeof(conf));
	conf.rxmode.mtu = c->mtu;
	if (c->rss) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rxmode.offloads |= info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
		conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & RSS_WANTED;
		if (c->key_len != 0) {
			conf.rx_adv_conf.rss_conf.rss_key = c->key;
			conf.rx_adv_conf.rss_conf.rss_key_len = c->key_len;
		}
	}
	if (c->csum_rx)
		conf.rxmode.offloads |= info.rx_offload_capa & CSUM_RX;
	if (c->csum_tx)
		conf.txmode.offloads |= info.tx_offload_capa & CSUM_TX;
	rc = rte_eth_dev_configure(port, c->rx_queues, c->tx_queues, &conf);
	if (rc != 0)
		return rc;
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(port, &c->rx_desc, &c->tx_desc);
	if (rc != 0)
		return rc;
	socket = rte_eth_dev_socket_id(port);
	rx = info.default_rxconf;
	rx.offloads = conf.rxmode.offloads;
	for (q = 0; q < c->rx_queues; q++) {
		rc = rte_eth_rx_queue_setup(port, q, c->rx_desc, (unsigned)socket, &rx, pool);
		if (rc != 0)
			return rc;
	}
	tx = info.default_txconf;
	tx.offloads = conf.txmode.offloads;
	for (q = 0; q < c->tx_queues; q++) {
		rc = rte_eth_tx_queue_setup(port, q, c->tx_desc, (unsigned)socket, &tx);
		if (rc != 0)
			return rc;
	}
	return 0;
}

struct shim_stats {
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
	uint64_t rx_missed, rx_errors, tx_errors, rx_no_mbuf;
};

int shim_port_stats(uint16_t port, struct shim_stats *out)
{
	struct rte_eth_stats s;
	int rc = rte_eth_stats_get(port, &s);

	memset(out, 0, sizeof(*out));
	if (rc != 0)
		return rc;
	out->rx_packets = s.ipackets;
	out->tx_packets = s.opackets;
	out->rx_bytes = s.ibytes;
	out->tx_bytes = s.obytes;
	out->rx_missed = s.imissed;
	out->rx_errors = s.ierrors;
	out->tx_errors = s.oerrors;
	out->rx_no_mbuf = s.rx_nombuf;
	return 0;
}

struct shim_xstat {
	char name[64];
	uint64_t value;
};

/* Fills up to `room` entries; returns how many there are, or a negative error. */
int shim_port_xstats(uint16_t port, struct shim_xstat *out, unsigned room)
{
	struct rte_eth_xstat_name *names;
	struct rte_eth_xstat *values;
	int count = rte_eth_xstats_get(port, NULL, 0), i, rc = count;

	if (count <= 0 || (unsigned)count > room)
		return count;
	names = calloc((size_t)count, sizeof(*names));
	values = calloc((size_t)count, sizeof(*values));
	if (names == NULL || values == NULL) {
		rc = -ENOMEM;
	} else if (rte_eth_xstats_get_names(port, names, (unsigned)count) != count ||
		   rte_eth_xstats_get(port, values, (unsigned)count) != count) {
		rc = -EAGAIN;
	} else {
		for (i = 0; i < count; i++) {
			memcpy(out[i].name, names[i].name, sizeof(out[i].name));
			out[i].value = values[i].value;
		}
	}
	free(names);
	free(values);
	return rc;
}

struct shim_link {
	uint32_t speed; /* Mbit/s; 0 none, UINT32_MAX unknown */
	uint8_t up, full_duplex, autoneg;
};

int shim_port_link(uint16_t port, struct shim_link *out)
{
	struct rte_eth_link link;
	int rc;

	memset(&link, 0, sizeof(link));
	memset(out, 0, sizeof(*out));
	rc = rte_eth_link_get_nowait(port, &link);
	if (rc != 0)
		return rc;
	out->speed = link.link_speed;
	out->up = link.link_status;
	out->full_duplex = link.link_duplex;
	out->autoneg = link.link_autoneg;
	return 0;
}

/* The key in use; returns its length or a negative error. */
int shim_rss_key(uint16_t port, uint8_t *key, unsigned room)
{
	struct rte_eth_rss_conf conf;
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port, &info);

	if (rc != 0)
		return rc;
	if (info.hash_key_size == 0 || info.hash_key_size > room)
		return -ENOTSUP;
	memset(&conf, 0, sizeof(conf));
	conf.rss_key = key;
	conf.rss_key_len = info.hash_key_size;
	rc = rte_eth_dev_rss_hash_conf_get(port, &conf);
	return rc != 0 ? rc : info.hash_key_size;
}

#define TABLE_GROUPS (RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE)

int shim_rss_table_set(uint16_t port, const uint16_t *table, uint16_t size)
{
	struct rte_eth_rss_reta_entry64 groups[TABLE_GROUPS];
	uint16_t i;

	if (size > RTE_ETH_RSS_RETA_SIZE_512)
		return -ENOTSUP;
	memset(groups, 0, sizeof(groups));
	for (i = 0; i < size; i++) {
		groups[i / RTE_ETH_RETA_GROUP_SIZE].mask |= 1ULL << (i % RTE_ETH_RETA_GROUP_SIZE);
		groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = table[i];
	}
	return rte_eth_dev_rss_reta_update(port, groups, size);
}

int shim_rss_table_get(uint16_t port, uint16_t *table, uint16_t size)
{
	struct rte_eth_rss_reta_entry64 groups[TABLE_GROUPS];
	uint16_t i;
	int rc;

	if (size > RTE_ETH_RSS_RETA_SIZE_512)
		return -ENOTSUP;
	memset(groups, 0, sizeof(groups));
	for (i = 0; i < TABLE_GROUPS; i++)
		groups[i].mask = UINT64_MAX;
	rc = rte_eth_dev_rss_reta_query(port, groups, size);
	if (rc != 0)
		return rc;
	for (i = 0; i < size; i++)
		table[i] = groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	return 0;
}

/* ---- the driver for af_packet ---- */

/*
 * The driver has the kernel put IPv4 fragments together before it sees them, and has no option about it. What comes of that is longer
 * than its buffers, and cut off: no fragmented packet of IPv4 arrives. The director takes fragments as they are, so this one flag is
 * left out. Everything else goes to the kernel unchanged.
 *
 * Only an executable that exports the symbol (dpvsd/build.rs) is asked before libc.
 */
int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int fanout;

	if (level == SOL_PACKET && name == PACKET_FANOUT && value != NULL && len == sizeof(fanout)) {
		memcpy(&fanout, value, sizeof(fanout));
		fanout &= ~(PACKET_FANOUT_FLAG_DEFRAG << 16);
		value = &fanout;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

/* The other half of this agreement is at the end of src/lib.rs. */
#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type " and its Rust twin differ")
SIZE(shim_port_info, 96);
SIZE(shim_port_conf, 80);
SIZE(shim_stats, 64);
SIZE(shim_xstat, 72);
SIZE(shim_link, 8);
